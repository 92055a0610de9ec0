"""Arrays between guard zones, for the emulated device: writes past their ends, and reads of freed arrays, are found."""

import weakref
from collections import deque
from typing import Any

import numpy as np

from tests.kernels.cuda.emulation.library import LaunchError

ALIGNED = 256  # bytes, as in CUDA
GUARD = 4096  # bytes on each side of an array: an extra row usually ends there
GUARD_BITS = (0x7FF9, 0x7FFA, 0x7FFC, 0x7FFD)  # quiet NaNs; neighbouring arrays have different ones
FREED = 64  # the number of freed arrays whose memory is not reused


class _Piece:
    """A piece of memory between guard zones, initially all NaN."""

    def __init__(self, size: int, number: int) -> None:
        self.memory = np.empty(size + 2 * GUARD + ALIGNED, np.uint8)
        start = -self.memory.ctypes.data % ALIGNED + GUARD
        self.address = self.memory.ctypes.data + start
        self.inner = self.memory[start : start + size]
        self.outer = self.memory[start - GUARD : start], self.memory[start + size : start + size + GUARD]
        self.pattern = np.full(GUARD // 2, GUARD_BITS[number % len(GUARD_BITS)], np.uint16).tobytes()
        for zone in self.outer:
            zone[...] = np.frombuffer(self.pattern, np.uint8)
        self.inner[...] = 0xFF

    def touched(self) -> bool:
        """Return whether the guard zones were written to."""
        return any(zone.tobytes() != self.pattern for zone in self.outer)


class _Owner:
    """The `base` of an array, which is deleted with its last view."""

    def __init__(self, piece: _Piece) -> None:
        self.__array_interface__ = {
            "shape": (max(piece.inner.size, 1),),  # NumPy would relocate an array without bytes
            "typestr": "|u1",
            "data": (piece.address, False),
            "version": 3,
        }


class Memory:
    """Arrays between guard zones. Freed arrays become NaN and are kept for a while, so that stale reads return NaN."""

    def __init__(self) -> None:
        self._pieces: dict[int, tuple[_Piece, str]] = {}
        self._freed: deque[_Piece] = deque(maxlen=FREED)
        self._count = 0

    def empty(self, shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
        """Return an array as `np.empty` does, filled with NaN (all bits one)."""
        dtype = np.dtype(dtype)
        shape = (shape,) if np.ndim(shape) == 0 else tuple(shape)
        number = self._count = self._count + 1
        piece = _Piece(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, number)
        owner = _Owner(piece)
        self._pieces[number] = piece, f"{dtype.name} {shape}"
        weakref.finalize(owner, self._free, number).atexit = False
        return np.ndarray(shape, dtype, buffer=np.asarray(owner), order=order)

    def own(self, array: np.ndarray) -> np.ndarray:
        """Return a copy between guard zones."""
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        copy = self.empty(array.shape, array.dtype, order)
        copy[...] = array
        return copy

    def check(self, launch: str) -> None:
        """Raise LaunchError if a guard zone was written to."""
        for piece, name in list(self._pieces.values()):
            if piece.touched():
                raise LaunchError(f"{launch}: a write past the ends of an array, {name}")

    def _free(self, number: int) -> None:
        piece, _ = self._pieces.pop(number)
        piece.inner[...] = 0xFF
        self._freed.append(piece)
