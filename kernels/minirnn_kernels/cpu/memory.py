"""Memory for the compiled kernels: aligned, and reused.

The operating system maps fresh memory page by page, at the first access, which for a short sequence takes as long as
the computation. So the temporary arrays of a pass are kept in a pool for the next pass.
"""

import math
import threading
from typing import Any

import numpy as np

from minirnn_kernels.arithmetic import round_up

Array = Any

LINE = 64  # bytes of a cache line; arrays begin at multiples of it
PADDING = 5 * LINE  # bytes after the end of an array, because kernels may read a whole row of a panel there
POOL_LIMIT = 1 << 28  # bytes that the pool of a thread keeps at most
MOST_PER_SIZE = 64  # buffers of one size that the pool keeps


class _Pool(threading.local):
    """The free arrays of one thread, so that no thread waits for another: by the size of their buffers.

    Taking and giving back an array cost the same however many arrays there are. The sizes are in the order of their
    last use, so that the arrays of the oldest size are freed first.
    """

    def __init__(self) -> None:
        self.free: dict[int, list[Array]] = {}  # bytes of a buffer -> arrays on such buffers
        self.bytes = 0  # of all buffers


_pool = _Pool()


def contiguous(a: Array) -> Array:
    """Return the array itself if it is C-contiguous and aligned, else a copy."""
    return a if a.flags.c_contiguous and a.flags.aligned else a.copy(order="C")


def aligned(*shape: int, dtype: Any, make: Any = np.empty) -> Array:
    """Return a new aligned array, filled with zeros if `make` is np.zeros."""
    return _view(make(_bytes(shape, dtype) + PADDING, np.uint8), shape, dtype)


def borrowed(*shape: int, dtype: Any) -> Array:
    """Return an aligned array with arbitrary contents, from the pool if one fits; return it with `give_back`."""
    size = _buffer_size(_bytes(shape, dtype) + PADDING)
    free = _pool.free.get(size)
    if not free:
        return _view(np.empty(size, np.uint8), shape, dtype)
    array = free.pop()
    _pool.bytes -= size
    if array.shape == shape and array.dtype == dtype:  # the most frequent case: a call like the one before
        return array
    return _view(array.base, shape, dtype)


def give_back(*arrays: Array) -> None:
    """Put borrowed arrays into the pool. The caller must not use them afterwards."""
    free = _pool.free
    for array in arrays:
        size = len(array.base)
        same = free[size] = free.pop(size, [])
        if len(same) < MOST_PER_SIZE:
            same.append(array)
            _pool.bytes += size
    while _pool.bytes > POOL_LIMIT:
        oldest = next(iter(free))
        _pool.bytes -= oldest * len(free.pop(oldest))


def _buffer_size(needed: int) -> int:
    """Return the size of the buffer for this many bytes: one of four sizes for each power of two."""
    step = 1 << max(needed.bit_length() - 3, 6)
    return round_up(needed, step)


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    return math.prod(shape) * int(np.dtype(dtype).itemsize)


def _view(buffer: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return the aligned array of this shape at the start of a buffer of bytes."""
    skip = -buffer.__array_interface__["data"][0] % LINE
    return buffer[skip : skip + _bytes(shape, dtype)].view(dtype).reshape(shape)
