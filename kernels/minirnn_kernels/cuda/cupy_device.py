"""A GPU through CuPy, with the protocol of `cuda/device.py`. Only this module and `cuda/cupy_record.py` import CuPy.

All work goes to CuPy's current stream and device; nothing here waits for it. CuPy compiles the sources at their first
launch and caches the result in a folder (CUPY_CACHE_DIR, by default ~/.cupy/kernel_cache).
"""

import contextlib
import ctypes
import threading
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import Any

import cupy
import numpy as np
from cupy.cuda import driver, runtime

from minirnn_kernels.cuda import source
from minirnn_kernels.cuda.device import Array, Kernel, Properties

# Bytes per cycle that a multiprocessor reads from the L2 cache: an estimate, because no device attribute reports it.
L2_BYTES_PER_CYCLE = 24.0

_DATA_TYPES = {
    "float32": runtime.CUDA_R_32F,
    "float64": runtime.CUDA_R_64F,
    "float16": runtime.CUDA_R_16F,
    "bfloat16": runtime.CUDA_R_16BF,
}
# alpha and beta of a product, in the type in which it is computed; cuBLAS reads them during the call
_SCALES = {dtype: (np.ones(1, dtype), np.zeros(1, dtype)) for dtype in ("float32", "float64")}


class CupyDevice:
    """The protocol of `cuda/device.py` on CuPy's current device. One object serves all GPUs and threads."""

    xp = cupy

    def __init__(self) -> None:
        self._functions: dict[Hashable, Any] = {}
        self._modules: dict[Hashable, Any] = {}
        self._lock = threading.RLock()
        self._thread = threading.local()  # .loading: launches only compile and load their kernels
        self._error: Any = None

    @property
    def home(self) -> Any:
        """The value of `array.device` for arrays on the current device."""
        return cupy.cuda.Device()

    @property
    def properties(self) -> Properties:
        """The properties of the current device."""
        return _properties(runtime.getDevice())

    # ---- products ----

    def matmul(
        self, a: Array, b: Array, out: Array | None = None, *, dtype: Any = None, precision: str = "strict"
    ) -> Array:
        """Return a b, computed by cuBLAS.

        cuBLAS stores matrices by columns. It computes (a b)^T = b^T a^T, whose columns are the rows of a b.
        """
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
            cupy.cuda.get_cublas_handle(),  # one per thread and device
            cublas.CUBLAS_OP_T if b_is_transposed else cublas.CUBLAS_OP_N,
            cublas.CUBLAS_OP_T if a_is_transposed else cublas.CUBLAS_OP_N,
            N,
            M,
            K,
            one.ctypes.data,
            b.data.ptr,
            _DATA_TYPES[b.dtype.name],
            b_stride,
            a.data.ptr,
            _DATA_TYPES[a.dtype.name],
            a_stride,
            zero.ctypes.data,
            out.data.ptr,
            _DATA_TYPES[out.dtype.name],
            max(N, out.strides[0] // out.itemsize),
            compute,
            cublas.CUBLAS_GEMM_DEFAULT,
        )
        return out

    # ---- kernels ----

    def launch(self, kernel: Kernel, grid: tuple[int, int], args: Sequence[Any], *, cooperative: bool = False) -> None:
        """Launch a kernel.

        CuPy shrinks a cooperative launch that does not fit, with only a warning; callers check `blocks_at_once` first.
        """
        function = self._function(kernel)
        if not getattr(self._thread, "loading", False):
            function(
                grid, (kernel.threads,), tuple(args), shared_mem=kernel.shared_bytes,
                enable_cooperative_groups=cooperative,
            )  # fmt: skip

    def blocks_at_once(self, kernel: Kernel) -> int:
        """Return the driver's figure for one multiprocessor, times the number of multiprocessors."""
        per_multiprocessor: int = driver.occupancyMaxActiveBlocksPerMultiprocessor(
            self._function(kernel).ptr, kernel.threads, kernel.shared_bytes
        )
        return per_multiprocessor * self.properties.multiprocessors

    def _function(self, kernel: Kernel) -> Any:
        """Return a compiled kernel of the current device, which may use all of the shared memory."""
        module_key = kernel.configuration, kernel.source
        key = runtime.getDevice(), *module_key, kernel.name
        function = self._functions.get(key)
        if function is None:
            with self._lock:
                if module_key not in self._modules:
                    self._modules[module_key] = cupy.RawModule(
                        code=source.text(kernel.source), options=source.options(kernel.configuration), backend="nvrtc"
                    )
                raw = self._modules[module_key].get_function(kernel.name)
                raw.max_dynamic_shared_size_bytes = self.properties.shared_bytes - raw.shared_size_bytes
                function = self._functions[key] = raw.kernel
        return function

    def graph(self, key: Hashable, capture: Callable[[], None]) -> Callable[[], None]:
        """Capture launches on a separate stream. A first call of `capture` only compiles and loads the kernels."""
        self._thread.loading = True
        try:
            capture()
        finally:
            self._thread.loading = False
        with cupy.cuda.Stream(non_blocking=True) as stream:
            stream.begin_capture()
            try:
                capture()
            except BaseException:
                with contextlib.suppress(Exception):
                    stream.end_capture()
                raise
            launch: Callable[[], None] = stream.end_capture().launch
        return launch

    def stream(self) -> Hashable:
        """Return the current device and the address of its current stream."""
        return runtime.getDevice(), cupy.cuda.get_current_stream().ptr

    # ---- memory ----

    def record(self, values: Any, into: Array | None = None) -> Array:
        """Copy a NumPy scalar to the device, in stream order; CuPy stages the bytes in its own pinned memory."""
        made = cupy.asarray(np.frombuffer(values.tobytes(), np.uint8))
        if into is None:
            return made
        into[...] = made
        return into

    def address(self, array: Array | None) -> int:
        """Return the address of the first entry of an array, or 0 for None."""
        return 0 if array is None else array.data.ptr

    @property
    def error_word(self) -> int:
        """The address of an int in pinned host memory, the same for the host and for kernels (unified addressing)."""
        with self._lock:
            if self._error is None:
                flags = runtime.hostAllocMapped | runtime.hostAllocPortable
                self._error = ctypes.c_int.from_address(runtime.hostAlloc(ctypes.sizeof(ctypes.c_int), flags))
                self._error.value = 0
        return ctypes.addressof(self._error)

    def failed(self) -> bool:
        """Return whether a kernel has stopped waiting since the last call."""
        if self._error is None or not self._error.value:
            return False
        self._error.value = 0
        return True


def _matrix(a: Array) -> tuple[Array, bool, int]:
    """Return a, or a copy, with contiguous rows or columns; whether the columns are contiguous; the leading dimension.

    The leading dimension is the distance between rows (or columns) in entries.
    """
    (rows, columns), (down, across), item = a.shape, a.strides, a.itemsize
    if (across == item or columns == 1) and (rows == 1 or (down % item == 0 and down >= columns * item)):
        return a, False, columns if rows == 1 else down // item
    if (down == item or rows == 1) and (columns == 1 or (across % item == 0 and across >= rows * item)):
        return a, True, rows if columns == 1 else across // item
    return cupy.ascontiguousarray(a), False, columns


@cache
def _properties(device: int) -> Properties:
    """Return the properties of a device; rates that the driver does not report are those of an H100."""

    def attribute(name: str) -> int:
        return int(runtime.deviceGetAttribute(getattr(runtime, f"cudaDevAttr{name}"), device))

    name = runtime.getDeviceProperties(device)["name"]
    kilo, multiprocessors = 1e3, attribute("MultiProcessorCount")
    clock = kilo * attribute("ClockRate")
    default = Properties()
    return Properties(
        name=name.decode() if isinstance(name, bytes) else str(name),
        architecture=int(cupy.cuda.Device(device).compute_capability),
        multiprocessors=multiprocessors,
        shared_bytes=attribute("MaxSharedMemoryPerBlockOptin"),
        clock=clock or default.clock,
        # two transfers per cycle
        bandwidth=kilo * attribute("MemoryClockRate") * 2 * attribute("GlobalMemoryBusWidth") / 8 or default.bandwidth,
        l2_bandwidth=L2_BYTES_PER_CYCLE * multiprocessors * (clock or default.clock),
        l2_bytes=attribute("L2CacheSize"),
    )
