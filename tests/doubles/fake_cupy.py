"""A fake CuPy whose GPU is host memory: its arrays are StrictArrays, and it records how CUDA and cuBLAS are called.

    def test_something(gpu): ...             # the fixture of tests/conftest.py: `import cupy` and the kernels "cupy"
    modules, calls = fake_cupy.make()        # for sys.modules, and the list of recorded calls
    cupy = fake_cupy.module(devices=0)       # the module `cupy` alone, here one that finds no GPU

Products are computed; compiled kernels and graphs only record that they were launched. The tests check how these
functions are called. Testing the real functions takes a GPU.
"""

from __future__ import annotations

import ctypes
import sys
import types
from typing import Any

import numpy as np

import minirnn_kernels
from minirnn_kernels.cell import CELLS
from minirnn_kernels.contract import CellKernels, Kernels
from tests.doubles.strict_array import StrictArray

PROPERTIES = {
    "name": b"A GPU of straw",
    "major": 9,
    "minor": 0,
    "totalGlobalMem": 80 * 2**30,
    "multiProcessorCount": 132,
}
ATTRIBUTES = {
    "MultiProcessorCount": 132,
    "ClockRate": 1_980_000,  # kHz
    "MaxSharedMemoryPerBlockOptin": 232_448,  # bytes
    "MemoryClockRate": 2_619_000,  # kHz
    "GlobalMemoryBusWidth": 5120,  # bits
    "L2CacheSize": 52_428_800,  # bytes
}


class CUDARuntimeError(RuntimeError):
    """The exception that CuPy raises if a CUDA call fails."""


def module(devices: int = 1, error: str | None = None) -> Any:
    """Return a module `cupy` that finds this many GPUs, or whose CUDA calls fail with this error."""
    return make(devices, error)[0]["cupy"]


def make(devices: int = 1, error: str | None = None) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """Return the modules of CuPy by name, for sys.modules, and the list of recorded calls."""
    calls: list[tuple[Any, ...]] = []
    stream = _stream(calls)
    cuda = _named(
        "cuda",
        runtime=_runtime(calls, devices, error),
        driver=_named("driver", occupancyMaxActiveBlocksPerMultiprocessor=_occupancy),
        is_available=lambda: error is None and devices > 0,
        Device=lambda number=0: types.SimpleNamespace(compute_capability="90"),
        Stream=stream,
        get_current_stream=lambda: stream,
        get_cublas_handle=lambda: 77,
    )
    makers = ("zeros", "ones", "full", "arange", "ascontiguousarray")
    cupy = _named(
        "cupy",
        __version__="14.2.0",
        ndarray=StrictArray,
        asarray=_asarray,
        array=_asarray,
        asnumpy=lambda a: a.get(),
        empty=lambda shape, dtype=float: StrictArray(np.full(shape, 7, dtype)),
        RawModule=_raw_module(calls),
        cuda=cuda,
        **{name: _made(getattr(np, name)) for name in makers},
    )
    libs = _named("libs", cublas=_cublas(calls), nvrtc=_named("nvrtc", getVersion=lambda: (13, 0)))
    in_cuda = _named("cuda", libs=libs)
    modules = {
        "cupy": cupy,
        "cupy.cuda": cuda,
        "cupy_backends": _named("cupy_backends", cuda=in_cuda),
        "cupy_backends.cuda": in_cuda,
        "cupy_backends.cuda.libs": libs,
    }
    return modules, calls


def install(monkeypatch: Any) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """Install the fake in sys.modules, so that the next import of `cupy_device` uses it; return what `make` returns."""
    modules, calls = make()
    for name, fake in modules.items():
        monkeypatch.setitem(sys.modules, name, fake)
    for name in ("minirnn_kernels.cuda.cupy_device", "minirnn_kernels.cuda.cupy_record"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return modules, calls


def _named(name: str, **members: Any) -> Any:
    made = types.ModuleType(name)
    made.__dict__.update(members)
    return made


# ---- arrays --------------------------------------------------------------------------------------------------------


def _asarray(a: Any, dtype: Any = None) -> StrictArray:
    return StrictArray(np.array(a.host if isinstance(a, StrictArray) else a, dtype))


def _made(function: Any) -> Any:
    """Return a function of NumPy that takes and returns StrictArrays."""

    def made(*args: Any, **kwargs: Any) -> StrictArray:
        return StrictArray(function(*(a.host if isinstance(a, StrictArray) else a for a in args), **kwargs))

    return made


# ---- CUDA ----------------------------------------------------------------------------------------------------------


def _runtime(calls: list[tuple[Any, ...]], devices: int, error: str | None) -> Any:
    memory = []  # the buffers of hostAlloc

    def count() -> int:
        if error:
            raise CUDARuntimeError(error)
        return devices

    def host_alloc(size: int, flags: int) -> int:
        calls.append(("hostAlloc", size, flags))
        memory.append(ctypes.create_string_buffer(b"\xff" * size, size))
        return ctypes.addressof(memory[-1])

    return _named(
        "runtime",
        CUDARuntimeError=CUDARuntimeError,
        CUDA_R_32F=0,
        CUDA_R_64F=1,
        CUDA_R_16F=2,
        CUDA_R_16BF=14,
        hostAllocMapped=2,
        hostAllocPortable=1,
        hostAlloc=host_alloc,
        getDevice=lambda: 0,
        getDeviceCount=count,
        getDeviceProperties=lambda device: PROPERTIES,
        runtimeGetVersion=lambda: 13000,
        driverGetVersion=lambda: 13010,
        deviceGetAttribute=lambda attribute, device: ATTRIBUTES[attribute],
        **{f"cudaDevAttr{name}": name for name in ATTRIBUTES},
    )


def _occupancy(function: Any, threads: int, shared_bytes: int) -> int:
    return 2 if shared_bytes < 100_000 else 1


def _raw_module(calls: list[tuple[Any, ...]]) -> Any:
    """Return a RawModule that compiles nothing and whose kernels only record their launches."""

    class Function:
        def __init__(self, name: str) -> None:
            self.name, self.ptr = name, 4321

        def __call__(
            self, grid: Any, block: Any, args: Any, shared_mem: int = 0, enable_cooperative_groups: bool = False
        ) -> None:
            assert isinstance(grid, tuple)
            assert isinstance(block, tuple)
            assert isinstance(args, tuple)
            calls.append(("launch", self.name, grid, block, len(args), shared_mem, enable_cooperative_groups))

    class RawKernel:
        def __init__(self, name: str) -> None:
            self.name, self.shared_size_bytes, self.kernel = name, 16, Function(name)

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "max_dynamic_shared_size_bytes":
                calls.append(("shared", self.name, value))
            super().__setattr__(name, value)

    class RawModule:
        def __init__(self, code: str, options: tuple[str, ...], backend: str) -> None:
            assert "KERNEL" in code
            calls.append(("compile", options, backend))

        def get_function(self, name: str) -> RawKernel:
            return RawKernel(name)

    return RawModule


def _stream(calls: list[tuple[Any, ...]]) -> Any:
    """Return a Stream that captures nothing and whose graphs only record their replays."""

    class Graph:
        def launch(self) -> None:
            calls.append(("replay",))

    class Stream:
        ptr = 99

        def __init__(self, non_blocking: bool = False) -> None:
            calls.append(("stream", non_blocking))

        def __enter__(self) -> Stream:
            return self

        def __exit__(self, *error: object) -> None:
            calls.append(("stream left",))

        def begin_capture(self) -> None:
            calls.append(("begin",))

        def end_capture(self) -> Graph:
            calls.append(("end",))
            return Graph()

    return Stream


# ---- cuBLAS --------------------------------------------------------------------------------------------------------

DTYPES = {0: np.float32, 1: np.float64, 2: np.float16}  # by the CUDA_R constants of _runtime


def _cublas(calls: list[tuple[Any, ...]]) -> Any:
    def gemmEx(*arguments: Any) -> None:
        handle, opA, opB, m, n, k, alpha, A, typeA, lda, B, typeB, ldb, beta, C, typeC, ldc, compute, algo = arguments
        assert (handle, algo) == (77, -1)
        assert lda >= (k if opA else m)
        assert ldb >= (n if opB else k)
        assert ldc >= m
        scale = np.float64 if compute == 70 else np.float32
        one, zero = (np.frombuffer((ctypes.c_char * 8).from_address(p), scale, 1)[0] for p in (alpha, beta))
        assert (one, zero) == (1, 0)
        a = _view(A, k, m, lda, DTYPES[typeA]).T if opA else _view(A, m, k, lda, DTYPES[typeA])
        b = _view(B, n, k, ldb, DTYPES[typeB]).T if opB else _view(B, k, n, ldb, DTYPES[typeB])
        _view(C, m, n, ldc, DTYPES[typeC])[...] = (a.astype(np.float64) @ b.astype(np.float64)).astype(DTYPES[typeC])
        calls.append(("gemmEx", opA, opB, compute, typeC))

    return _named(
        "cublas",
        CUBLAS_OP_N=0,
        CUBLAS_OP_T=1,
        CUBLAS_COMPUTE_32F=68,
        CUBLAS_COMPUTE_32F_PEDANTIC=69,
        CUBLAS_COMPUTE_32F_FAST_TF32=77,
        CUBLAS_COMPUTE_64F=70,
        CUBLAS_GEMM_DEFAULT=-1,
        gemmEx=gemmEx,
    )


def _view(address: int, rows: int, columns: int, stride: int, dtype: Any) -> Any:
    """Return a BLAS matrix of (rows, columns) numbers, whose columns are `stride` numbers apart."""
    item = np.dtype(dtype).itemsize
    count = stride * (columns - 1) + rows
    flat = np.frombuffer((ctypes.c_char * (count * item)).from_address(address), dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (item, stride * item))


# ---- kernels -------------------------------------------------------------------------------------------------------


def kernels(inner: Kernels | None = None) -> Kernels:
    """Return the record "cupy" on StrictArrays: it calls `inner`, by default NumPy's record, with their contents."""
    inner = inner or minirnn_kernels.get("numpy")

    def on_device(function: Any) -> Any:
        return lambda *args, **options: _device(function(*map(_host, args), **options))

    def accepts(*arrays: Any) -> bool:
        return all(type(a) is StrictArray for a in arrays) and inner.accepts(*(a.host for a in arrays))

    cells = {cell: CellKernels(*map(on_device, vars(inner.of(cell)).values())) for cell in CELLS}
    return Kernels(name="cupy", accepts=accepts, gates=inner.gates, **cells)


def _host(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        raise TypeError(f"a host array of shape {x.shape} was passed to the kernels of the device")
    return x.host.copy() if isinstance(x, StrictArray) else x


def _device(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(map(_device, x))
    return StrictArray(x) if isinstance(x, np.ndarray) else x
