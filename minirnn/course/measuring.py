"""CPU time and allocated memory, as the experiments measure them."""

import contextlib
import time
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["cpu_seconds", "tracing"]


def cpu_seconds(work: Callable[[], object], repeats: int) -> np.ndarray:
    """Return the CPU time of each of `repeats` calls of `work`, in seconds, (repeats,).

    Other programs can only add to these times, so report the minimum or a low percentile.
    """
    times = np.empty(repeats)
    for k in range(repeats):
        began = time.process_time()
        work()
        times[k] = time.process_time() - began
    return times


@contextlib.contextmanager
def tracing() -> Iterator[Callable[[], tuple[int, int]]]:
    """Count the bytes that Python and NumPy allocate in the block.

    Yields a function that returns the bytes allocated now and their maximum so far.
    """
    tracemalloc.start()
    try:
        yield tracemalloc.get_traced_memory
    finally:
        tracemalloc.stop()
