"""The barrier for parts that share units: they wait for each other before the first step and after each step.

The barrier is one counter of arrivals in the job. Numba gives no guarantee that all requested threads run at the same
time, so the parts first find out whether they do.
"""

from typing import Any

from minirnn_kernels.cpu.compilation import compiled
from minirnn_kernels.cpu.emit.intrinsics import atomic_add, atomic_exchange_if, yield_thread

CLOSED = -(1 << 40)  # the value of the counter once one part works alone; arrivals leave it negative


@compiled
def parts_at_once(part: int, job: Any) -> int:
    """Arrive for the first time. Return the number of parts that work together (all or 1), or 0 for no work.

    Parts that share rows never wait, so each works alone and the result is 1. Parts that share units all have to
    arrive. After a timeout, one part closes the group and takes all the work. It gets the result 1; parts that arrive
    later get 0.
    """
    if not job.by_units:
        return 1
    arrived = atomic_add(job.arrivals, 1) + 1
    tries = 0
    while 0 < arrived < job.parts:
        tries += 1
        yield_thread()
        if tries > 100_000 and atomic_exchange_if(job.arrivals, arrived, CLOSED) == arrived:
            return 1
        arrived = atomic_add(job.arrivals, 0)
    return job.parts if arrived > 0 else 0


@compiled
def wait(job: Any, parts: int, number: int) -> None:
    """Arrive for the `number`-th time, and wait until all parts have; return at once if one part works alone."""
    if parts == 1:
        return
    atomic_add(job.arrivals, 1)
    tries = 0
    while atomic_add(job.arrivals, 0) < number * parts:
        tries += 1
        if tries > 2000:
            yield_thread()
