"""Memory for the compiled kernels: aligned, and used again.

Fresh memory is given out by the operating system page by page, at the first touch, and where a sequence is short that
takes as long as what is computed in it. So what a pass needs for itself, and nobody else sees, is kept for the next.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

Array = Any

LINE = 64  # bytes of a cache line, at whose multiples arrays begin
SLACK = 5 * LINE  # bytes behind an array's end: reading a whole panel's row may go beyond it
KEPT = 1 << 28  # bytes that a thread keeps at most


class _Free(threading.local):
    """Each thread has its own, so that no thread waits for another."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self.size = 0  # of all of them, in bytes


_free = _Free()


def aligned(*shape: int, dtype: Any, make: Any = np.empty) -> Array:
    """A new array, or with `make=np.zeros` one of zeros."""
    n = math.prod(shape)
    return _part(make(n * np.dtype(dtype).itemsize + SLACK, np.uint8), n, shape, dtype)


def borrowed(*shape: int, dtype: Any) -> Array:
    """An array of anything, from what was given back if something fits. `give_back` it, if nobody else can see it."""
    free = _free.arrays
    for k, array in enumerate(free):
        if array.shape == shape and array.dtype == dtype:  # as it is: the next call is mostly like the one before
            return _taken(k)
    n = math.prod(shape)
    need = n * np.dtype(dtype).itemsize + SLACK
    for k, array in enumerate(free):
        if need <= len(array.base) <= 2 * need:
            return _part(_taken(k).base, n, shape, dtype)
    return _part(np.empty(need, np.uint8), n, shape, dtype)


def _taken(k: int) -> Array:
    array = _free.arrays.pop(k)
    _free.size -= len(array.base)
    return array


def give_back(*arrays: Array) -> None:
    """Arrays that were borrowed and are not used any more."""
    _free.arrays.extend(arrays)
    _free.size += sum(len(array.base) for array in arrays)
    while _free.size > KEPT:
        _taken(0)


def _part(buffer: Array, n: int, shape: tuple[int, ...], dtype: Any) -> Array:
    skip = -buffer.__array_interface__["data"][0] % LINE
    return buffer[skip : skip + n * np.dtype(dtype).itemsize].view(dtype).reshape(shape)
