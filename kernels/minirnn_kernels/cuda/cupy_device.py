"""A GPU through CuPy, as `cuda/sequences.py` needs it: the one module, with `cuda/cupy_record.py`, that imports CuPy.

All work goes to CuPy's current stream and device; nothing here waits for it. CuPy compiles the sources at their first
launch and keeps what it made in its cache folder (CUPY_CACHE_DIR, else ~/.cupy/kernel_cache).
"""

import contextlib
import ctypes
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cache
from typing import Any

import cupy
import numpy as np
from cupy.cuda import driver, runtime

from minirnn_kernels.cuda import source as cuda_source
from minirnn_kernels.cuda.device import Array, Properties
from minirnn_kernels.cuda.source import Configuration

# The second-level cache's bandwidth is in no attribute: bytes that a multiprocessor gets from it in a cycle, estimated.
L2_PER_CYCLE = 24.0

_DATA = {
    "float32": runtime.CUDA_R_32F,
    "float64": runtime.CUDA_R_64F,
    "float16": runtime.CUDA_R_16F,
    "bfloat16": runtime.CUDA_R_16BF,
}
# alpha and beta of a product, in the type it is computed in: cuBLAS reads them when it is called
_SCALES = {dtype: (np.ones(1, dtype), np.zeros(1, dtype)) for dtype in ("float32", "float64")}


class CupyGraph:
    """Launches that have been captured."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def replay(self) -> None:
        """Do them again, on the calling thread's current stream."""
        self._graph.launch()


class CupyDevice:
    """The protocol of `cuda_device.Device` on CuPy's current device. One object serves all GPUs and threads."""

    xp = cupy

    def __init__(self) -> None:
        self._functions: dict[Hashable, Any] = {}
        self._modules: dict[Hashable, Any] = {}
        self._lock = threading.RLock()
        self._thread = threading.local()  # .loading: launches only make their kernels ready
        self._error: Any = None

    @property
    def home(self) -> Any:
        """What `array.device` is for arrays of the current device."""
        return cupy.cuda.Device()

    @property
    def properties(self) -> Properties:
        """Of the current device."""
        return _properties(runtime.getDevice())

    # ---- products ----

    def matmul(
        self, a: Array, b: Array, out: Array | None = None, *, dtype: Any = None, precision: str = "strict"
    ) -> Array:
        """a b by cuBLAS. Its matrices have their columns one after the other: (a b)^T = b^T a^T makes rows of them."""
        from cupy_backends.cuda.libs import cublas

        (M, K), N = a.shape, b.shape[1]
        if out is None:
            out = cupy.empty((M, N), a.dtype if dtype is None else dtype)
        if K == 0:
            out[...] = 0
        if out.size == 0 or K == 0:
            return out
        a, a_is_transposed, a_stride = _matrix(a)
        b, b_is_transposed, b_stride = _matrix(b)
        compute = {
            "float32": {
                "strict": cublas.CUBLAS_COMPUTE_32F_PEDANTIC,
                "high": cublas.CUBLAS_COMPUTE_32F,
                "fast": cublas.CUBLAS_COMPUTE_32F_FAST_TF32,
            }[precision],
            "float64": cublas.CUBLAS_COMPUTE_64F,
        }.get(a.dtype.name, cublas.CUBLAS_COMPUTE_32F)
        one, zero = _SCALES["float64" if a.dtype == np.float64 else "float32"]
        cublas.gemmEx(
            cupy.cuda.get_cublas_handle(),  # one for each thread and device
            cublas.CUBLAS_OP_T if b_is_transposed else cublas.CUBLAS_OP_N,
            cublas.CUBLAS_OP_T if a_is_transposed else cublas.CUBLAS_OP_N,
            N,
            M,
            K,
            one.ctypes.data,
            b.data.ptr,
            _DATA[b.dtype.name],
            b_stride,
            a.data.ptr,
            _DATA[a.dtype.name],
            a_stride,
            zero.ctypes.data,
            out.data.ptr,
            _DATA[out.dtype.name],
            max(N, out.strides[0] // out.itemsize),
            compute,
            cublas.CUBLAS_GEMM_DEFAULT,
        )
        return out

    # ---- kernels ----

    def launch(
        self,
        configuration: Configuration,
        source: str,
        kernel: str,
        grid: tuple[int, int],
        block: int,
        shared_bytes: int,
        args: Sequence[Any],
        cooperative: bool = False,
    ) -> None:
        """CuPy makes a cooperative launch smaller, with a warning, where it doesn't fit: so the caller asks before."""
        function = self._function(configuration, source, kernel)
        if not getattr(self._thread, "loading", False):
            function(grid, (block,), tuple(args), shared_mem=shared_bytes, enable_cooperative_groups=cooperative)

    def blocks_at_once(
        self, configuration: Configuration, source: str, kernel: str, block: int, shared_bytes: int
    ) -> int:
        """What the driver says of one multiprocessor, times their number."""
        function = self._function(configuration, source, kernel)
        each: int = driver.occupancyMaxActiveBlocksPerMultiprocessor(function.ptr, block, shared_bytes)
        return each * self.properties.multiprocessors

    def _function(self, configuration: Configuration, source: str, kernel: str) -> Any:
        """A compiled kernel of the current device, allowed all the shared memory that there is."""
        key = runtime.getDevice(), configuration, source, kernel
        function = self._functions.get(key)
        if function is None:
            with self._lock:
                raw = self._module(configuration, source).get_function(kernel)
                raw.max_dynamic_shared_size_bytes = self.properties.shared_bytes - raw.shared_size_bytes
                function = self._functions[key] = raw.kernel
        return function

    def _module(self, configuration: Configuration, source: str) -> Any:
        key = configuration, source
        if key not in self._modules:
            self._modules[key] = cupy.RawModule(
                code=cuda_source.source(source), options=cuda_source.options(configuration), backend="nvrtc"
            )
        return self._modules[key]

    def graph(self, key: Hashable, capture: Callable[[], None]) -> CupyGraph:
        """Captured on a stream of its own, after a first go in which its kernels are only compiled and loaded."""
        with self._only_loading():
            capture()
        with cupy.cuda.Stream(non_blocking=True) as stream:
            stream.begin_capture()
            try:
                capture()
            except BaseException:
                with contextlib.suppress(Exception):
                    stream.end_capture()
                raise
            return CupyGraph(stream.end_capture())

    @contextlib.contextmanager
    def _only_loading(self) -> Iterator[None]:
        self._thread.loading = True
        try:
            yield
        finally:
            self._thread.loading = False

    def stream(self) -> Hashable:
        """The current device and the address of its current stream."""
        return runtime.getDevice(), cupy.cuda.get_current_stream().ptr

    # ---- memory ----

    def record(self, values: Any, into: Array | None = None) -> Array:
        """CuPy copies a NumPy array by way of pinned memory of its own, in the order of the stream."""
        made = cupy.asarray(np.frombuffer(values.tobytes(), np.uint8))
        if into is None:
            return made
        into[...] = made
        return into

    def address(self, array: Array | None) -> int:
        """Where an array's first entry lies; 0 for None."""
        return 0 if array is None else array.data.ptr

    @property
    def error_word(self) -> int:
        """An int in pinned memory of the host, which kernels see under the same address (unified addressing)."""
        if self._error is None:
            with self._lock:
                if self._error is None:
                    flags = runtime.hostAllocMapped | runtime.hostAllocPortable
                    error = ctypes.c_int.from_address(runtime.hostAlloc(ctypes.sizeof(ctypes.c_int), flags))
                    error.value = 0
                    self._error = error
        return ctypes.addressof(self._error)

    def failed(self) -> bool:
        """Whether a kernel has given up waiting since this was last asked."""
        if self._error is None or not self._error.value:
            return False
        self._error.value = 0
        return True


def _matrix(a: Array) -> tuple[Array, bool, int]:
    """a or a copy whose rows or columns are contiguous; whether it is the columns; entries from one to the next."""
    (rows, columns), (down, across), item = a.shape, a.strides, a.itemsize
    if (across == item or columns == 1) and (rows == 1 or (down % item == 0 and down >= columns * item)):
        return a, False, columns if rows == 1 else down // item
    if (down == item or rows == 1) and (columns == 1 or (across % item == 0 and across >= rows * item)):
        return a, True, rows if columns == 1 else across // item
    return cupy.ascontiguousarray(a), False, columns


@cache
def _properties(device: int) -> Properties:
    def attribute(name: str) -> int:
        return int(runtime.deviceGetAttribute(getattr(runtime, f"cudaDevAttr{name}"), device))

    name = runtime.getDeviceProperties(device)["name"]
    kilo, multiprocessors = 1e3, attribute("MultiProcessorCount")
    clock = kilo * attribute("ClockRate")
    usual = Properties()
    return Properties(
        name=name.decode() if isinstance(name, bytes) else str(name),
        architecture=int(cupy.cuda.Device(device).compute_capability),
        multiprocessors=multiprocessors,
        shared_bytes=attribute("MaxSharedMemoryPerBlockOptin"),
        clock=clock or usual.clock,
        # two transfers a cycle
        bandwidth=kilo * attribute("MemoryClockRate") * 2 * attribute("GlobalMemoryBusWidth") / 8 or usual.bandwidth,
        l2_bandwidth=L2_PER_CYCLE * multiprocessors * (clock or usual.clock),
        l2_bytes=attribute("L2CacheSize"),
    )
