"""Launch compiled work, on one thread or on several.

The loop over threads is compiled once and calls the work by its address, because compiling a parallel loop is slow and
Numba would repeat it for each cell and dtype.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numba
import numpy as np
from numba import prange, types

from minirnn_kernels.cpu import compilation
from minirnn_kernels.cpu.compilation import compiled, compiled_threads
from minirnn_kernels.cpu.emit.intrinsics import call_work
from minirnn_kernels.cpu.job import JOB

# ---- threads ---------------------------------------------------------------------------------------------------------

# A child process made by fork has none of its parent's threads and must not use them. Some of Numba's threading layers
# abort if two Python threads enter them at once, so a caller holds `turn` while it uses several threads.
turn = threading.Lock()
_forked = False


def _after_fork() -> None:
    global _forked, turn
    _forked = True
    turn = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def thread_count() -> int:
    """Return how many threads compiled code may use in this process."""
    return 1 if _forked else int(numba.get_num_threads())


# ---- compiled: calling work by its address ---------------------------------------------------------------------------


@compiled
def address(a: Any) -> int:
    """Return the address of the array's first entry. NumPy's `ctypes` takes six times as long, for a dozen arrays."""
    return a.ctypes.data


@compiled
def run_alone(work: Any, job: int, parts: int) -> None:
    """Run each stretch of work, one part after the other."""
    for k in range(len(work)):
        for part in range(parts):
            call_work(work[k], part, job)


@compiled_threads
def run_on_threads(work: Any, job: int, parts: int) -> None:
    """Run each stretch of work in `parts` parts at the same time; all parts end before the next stretch begins."""
    for k in range(len(work)):
        stretch = work[k]
        for part in prange(parts):
            call_work(stretch, part, job)


# ---- a pass ----------------------------------------------------------------------------------------------------------


def run(stretches: tuple[Callable[..., None], ...], dtype: Any, parts: int, **fields: Any) -> None:
    """Run the stretches of a pass. `fields` are those of the job, numbers or arrays; a missing field is 0."""
    alone = parts == 1 or thread_count() == 1
    if alone and fields["by_units"]:
        parts = 1
    fields |= {"parts": parts, "arrivals": np.zeros(1, np.int64)}
    values = [fields.get(name, 0) for name in JOB.names or ()]
    job = np.array([address(value) if isinstance(value, np.ndarray) else value for value in values], np.int64)
    work = _addresses(stretches, dtype)
    if alone:
        run_alone(work, address(job), parts)
    else:
        with turn:
            run_on_threads(work, address(job), parts)


@cache
def _addresses(stretches: tuple[Callable[..., None], ...], dtype: Any) -> Any:
    """Return the addresses of the stretches compiled for this dtype; the first use in a process compiles or loads."""
    number = types.float32 if dtype == np.float32 else types.float64
    signature = types.void(types.int64, types.CPointer(numba.from_dtype(JOB)), types.CPointer(number))
    with _slow_compilation_announced():
        return np.array([compilation.address(stretch, signature) for stretch in stretches])


@contextmanager
def _slow_compilation_announced() -> Iterator[None]:
    """Print a line, once per process, if the block takes longer than a second."""
    timer = threading.Timer(1.0, _announce)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def _announce() -> None:
    message = "minirnn: compiling the CPU kernels, once on this machine; some 15 seconds, more on a busy one"
    print(message, file=sys.stderr)
