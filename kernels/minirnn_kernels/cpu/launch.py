"""Calls work, by its address, from one thread or from several.

The loop over threads is compiled once and knows nothing of what it calls: compiling a parallel loop is slow, and Numba
would do it anew for each cell and dtype.
"""

from __future__ import annotations

from typing import Any

from numba import prange

from minirnn_kernels.cpu.compilation import compiled, compiled_threads
from minirnn_kernels.cpu.emit.intrinsics import call_work


@compiled
def address(a: Any) -> int:
    """Where the array's entries begin. To ask NumPy takes six times as long, and a pass has a dozen arrays."""
    return a.ctypes.data


@compiled
def one(work: Any, job: int, parts: int) -> None:
    """Each of the stretches of work, one part after the other."""
    for k in range(len(work)):
        for part in range(parts):
            call_work(work[k], part, job)


@compiled_threads
def several(work: Any, job: int, parts: int) -> None:
    """Each of the stretches of work in `parts` parts at the same time; all parts end before the next begins."""
    for k in range(len(work)):
        address = work[k]
        for part in prange(parts):
            call_work(address, part, job)
