"""A CuPy whose GPU is the host's memory: arrays, the calls of cuBLAS, launches and capture that `cupy_device.py` makes.

What is checked is how they are called; what the real ones then do takes a GPU to see.
"""

import ctypes
import sys
import types

import numpy as np

DTYPES = {0: np.float32, 1: np.float64, 2: np.float16}


class Pointer:
    """An array's `data`."""

    def __init__(self, ptr):
        self.ptr = ptr


class ndarray(np.ndarray):
    """NumPy's, with CuPy's `data`."""

    @property
    def data(self):
        return Pointer(self.ctypes.data)


def view(address, rows, columns, stride, dtype):
    """rows x columns numbers whose columns are `stride` apart, as BLAS has its matrices."""
    item = np.dtype(dtype).itemsize
    count = stride * (columns - 1) + rows
    flat = np.frombuffer((ctypes.c_char * (count * item)).from_address(address), dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (item, stride * item))


def _runtime(calls):
    runtime = types.ModuleType("runtime")
    runtime.CUDA_R_32F, runtime.CUDA_R_64F, runtime.CUDA_R_16F, runtime.CUDA_R_16BF = 0, 1, 2, 14
    runtime.hostAllocMapped, runtime.hostAllocPortable = 2, 1
    runtime.memory = []  # what hostAlloc gave

    def host_alloc(size, flags):
        calls.append(("hostAlloc", size, flags))
        runtime.memory.append(ctypes.create_string_buffer(b"\xff" * size, size))
        return ctypes.addressof(runtime.memory[-1])

    runtime.hostAlloc = host_alloc
    runtime.getDevice = lambda: 0
    runtime.getDeviceCount = lambda: 1
    runtime.driverGetVersion = lambda: 13020
    runtime.runtimeGetVersion = lambda: 13000
    runtime.getDeviceProperties = lambda device: {"name": b"Mock"}
    attributes = {
        "MultiProcessorCount": 132,
        "ClockRate": 1_980_000,  # kHz
        "MaxSharedMemoryPerBlockOptin": 232_448,
        "MemoryClockRate": 2_619_000,  # kHz
        "GlobalMemoryBusWidth": 5120,  # bits
        "L2CacheSize": 52_428_800,
    }
    for k, name in enumerate(attributes):
        setattr(runtime, f"cudaDevAttr{name}", k)
    runtime.deviceGetAttribute = lambda attribute, device: list(attributes.values())[attribute]
    return runtime


def _cublas(calls):
    cublas = types.ModuleType("cublas")
    cublas.CUBLAS_OP_N, cublas.CUBLAS_OP_T = 0, 1
    cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_COMPUTE_32F_PEDANTIC = 68, 69
    cublas.CUBLAS_COMPUTE_32F_FAST_TF32, cublas.CUBLAS_COMPUTE_64F = 77, 70
    cublas.CUBLAS_GEMM_DEFAULT = -1

    def gemmEx(handle, opA, opB, m, n, k, alpha, A, typeA, lda, B, typeB, ldb, beta, C, typeC, ldc, compute, algo):
        assert (handle, algo) == (77, -1)
        assert lda >= (k if opA else m)
        assert ldb >= (n if opB else k)
        assert ldc >= m
        scale = np.float64 if compute == 70 else np.float32
        one, zero = (np.frombuffer((ctypes.c_char * 8).from_address(p), scale, 1)[0] for p in (alpha, beta))
        assert (one, zero) == (1, 0)
        a = view(A, k, m, lda, DTYPES[typeA]).T if opA else view(A, m, k, lda, DTYPES[typeA])
        b = view(B, n, k, ldb, DTYPES[typeB]).T if opB else view(B, k, n, ldb, DTYPES[typeB])
        view(C, m, n, ldc, DTYPES[typeC])[...] = (a.astype(np.float64) @ b.astype(np.float64)).astype(DTYPES[typeC])
        calls.append(("gemmEx", opA, opB, compute, typeC))

    cublas.gemmEx = gemmEx
    return cublas


def _raw_module(calls):
    """CuPy's RawModule: it compiles nothing, and its kernels only note that they were launched."""

    class Function:
        def __init__(self, name):
            self.name, self.ptr = name, 4321

        def __call__(self, grid, block, args, shared_mem=0, stream=None, enable_cooperative_groups=False):
            assert isinstance(grid, tuple)
            assert isinstance(block, tuple)
            assert isinstance(args, tuple)
            calls.append(("launch", self.name, grid, block, len(args), shared_mem, enable_cooperative_groups))

    class RawKernel:
        def __init__(self, name):
            self.name, self.shared_size_bytes, self.kernel = name, 16, Function(name)

        def __setattr__(self, name, value):
            if name == "max_dynamic_shared_size_bytes":
                calls.append(("shared", self.name, value))
            super().__setattr__(name, value)

    class RawModule:
        def __init__(self, code, options, backend):
            assert "KERNEL" in code
            calls.append(("compile", options, backend))

        def get_function(self, name):
            return RawKernel(name)

    return RawModule


def _stream(calls):
    """CuPy's Stream: it captures nothing, and its graphs only note that they were replayed."""

    class Graph:
        def launch(self):
            calls.append(("replay",))

    class Stream:
        ptr = 99

        def __init__(self, non_blocking=False):
            calls.append(("stream", non_blocking))

        def __enter__(self):
            return self

        def __exit__(self, *error):
            calls.append(("stream left",))

        def begin_capture(self):
            calls.append(("begin",))

        def end_capture(self):
            calls.append(("end",))
            return Graph()

    return Stream


class Device:
    def __init__(self, number=0):
        self.compute_capability = "90"


def make():
    """The modules by name, for sys.modules, and the list of what was called."""
    calls = []
    cupy, cuda, driver = (types.ModuleType(n) for n in ("cupy", "cuda", "driver"))
    cupy.__version__ = "14.2.0"
    cupy.ndarray = ndarray
    cupy.empty = lambda shape, dtype=float: np.full(shape, 7, dtype).view(ndarray)
    cupy.zeros = lambda shape, dtype=float: np.zeros(shape, dtype).view(ndarray)
    cupy.asarray = lambda a, dtype=None: np.array(a, dtype).view(ndarray)
    cupy.ascontiguousarray = lambda a, dtype=None: np.ascontiguousarray(a, dtype).view(ndarray)
    cupy.RawModule = _raw_module(calls)
    cupy.cuda, cuda.runtime, cuda.driver, cuda.Device = cuda, _runtime(calls), driver, Device
    cuda.get_cublas_handle = lambda: 77
    driver.occupancyMaxActiveBlocksPerMultiprocessor = lambda function, block, shared: 2 if shared < 100_000 else 1
    cuda.Stream = stream = _stream(calls)
    cuda.get_current_stream = lambda: stream
    backends, in_cuda, libs = (types.ModuleType(n) for n in ("cupy_backends", "cuda", "libs"))
    backends.cuda, in_cuda.libs, libs.cublas = in_cuda, libs, _cublas(calls)
    modules = {
        "cupy": cupy,
        "cupy.cuda": cuda,
        "cupy_backends": backends,
        "cupy_backends.cuda": in_cuda,
        "cupy_backends.cuda.libs": libs,
    }
    return modules, calls


def install(monkeypatch):
    """The calls that `cupy_device` will make; it is imported anew by who asks next."""
    modules, calls = make()
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("minirnn_kernels.cuda.cupy_device", "minirnn_kernels.cuda.cupy_record"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return modules, calls
