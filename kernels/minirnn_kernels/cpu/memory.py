"""Memory for the compiled kernels: aligned, and reused.

The operating system maps fresh memory page by page, at the first access, which for a short sequence takes as long as
the computation. So the temporary arrays of a pass are kept in a pool for the next pass.
"""

import math
import threading
from typing import Any

import numpy as np

Array = Any

LINE = 64  # bytes of a cache line; arrays begin at multiples of it
PADDING = 5 * LINE  # bytes after the end of an array, because kernels may read a whole row of a panel there
POOL_LIMIT = 1 << 28  # bytes that the pool of a thread keeps at most


class _Pool(threading.local):
    """The free arrays of one thread, so that no thread waits for another."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self.size = 0  # of all arrays, in bytes


_pool = _Pool()


def contiguous(a: Array) -> Array:
    """Return the array itself if it is C-contiguous and aligned, else a copy."""
    return a if a.flags.c_contiguous and a.flags.aligned else a.copy(order="C")


def aligned(*shape: int, dtype: Any, make: Any = np.empty) -> Array:
    """Return a new aligned array, filled with zeros if `make` is np.zeros."""
    return _view(make(_bytes(shape, dtype) + PADDING, np.uint8), shape, dtype)


def borrowed(*shape: int, dtype: Any) -> Array:
    """Return an aligned array with arbitrary contents, from the pool if one fits; return it with `give_back`."""
    free = _pool.arrays
    for k, array in enumerate(free):
        if array.shape == shape and array.dtype == dtype:  # the most frequent case: a call like the one before
            return _taken(k)
    need = _bytes(shape, dtype) + PADDING
    for k, array in enumerate(free):
        if need <= len(array.base) <= 2 * need:
            return _view(_taken(k).base, shape, dtype)
    return _view(np.empty(need, np.uint8), shape, dtype)


def give_back(*arrays: Array) -> None:
    """Put borrowed arrays into the pool. The caller must not use them afterwards."""
    _pool.arrays.extend(arrays)
    _pool.size += sum(len(array.base) for array in arrays)
    while _pool.size > POOL_LIMIT:
        _taken(0)


def _taken(k: int) -> Array:
    array = _pool.arrays.pop(k)
    _pool.size -= len(array.base)
    return array


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    return math.prod(shape) * int(np.dtype(dtype).itemsize)


def _view(buffer: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return the aligned array of this shape at the start of a buffer of bytes."""
    skip = -buffer.__array_interface__["data"][0] % LINE
    return buffer[skip : skip + _bytes(shape, dtype)].view(dtype).reshape(shape)
