"""The cost model of the CPU kernels: when threads, a barrier at every step, or prefetching pay.

The constants are thresholds that were measured on x86 servers with an L2 cache of about 1 MB per core.
"""

from minirnn_kernels.cpu import launch

# Sequences: with less work than this in a forward pass (tens of microseconds), waking a second thread costs more.
MIN_MULTIPLY_ADDS_FOR_THREADS = 1_000_000
# Sequences: with less work than this in one time step (about a microsecond), a barrier at every step costs more.
MIN_MULTIPLY_ADDS_FOR_BARRIER = 50_000
# Sequences: with fewer batch rows per thread, reading the weights costs more than multiplying by them.
MIN_ROWS_PER_THREAD = 8
# Sequences: this many weights fill an L2 cache of 1 MB. With more, each thread should read only a part.
MIN_WEIGHTS_TO_SHARE_UNITS = 250_000
# Sequences: this many weights come from main memory at every step, so the kernels prefetch them.
MIN_WEIGHTS_FOR_PREFETCH = 4_000_000
# Pointwise gates: with fewer units (in all rows together), waking a second thread costs more.
MIN_UNITS_FOR_THREADS = 20_000
# Single steps: with more rows than this, packing the weights for the tiles of a product pays.
MAX_ROWS_FOR_STEP_KERNELS = 8
# Single steps: this many bytes of weights fill the L2 cache of one core.
MIN_WEIGHT_BYTES_FOR_THREADS = 1_000_000


def sequence_parts(T: int, B: int, weight_rows: int, terms: int) -> tuple[int, bool]:
    """Return the number of parts of a pass over T steps of B sequences, and whether the parts share units (else rows).

    weight_rows is the number of rows of W_ih; each row costs `terms` multiply-adds for each step of each sequence.
    """
    parts = launch.thread_count() if T * B * weight_rows * terms >= MIN_MULTIPLY_ADDS_FOR_THREADS else 1
    by_units = (
        parts > 1
        and (MIN_ROWS_PER_THREAD * parts > B or weight_rows * terms >= MIN_WEIGHTS_TO_SHARE_UNITS)
        and B * weight_rows * terms >= MIN_MULTIPLY_ADDS_FOR_BARRIER
    )
    return 1 if parts > B and not by_units else parts, by_units


def prefetches(weights: int) -> int:
    """Return 1 if a layer with this many weights should prefetch them, else 0."""
    return int(weights >= MIN_WEIGHTS_FOR_PREFETCH)


# If another process keeps a core busy, a thread can wait 8 ms for its turn there, two hundred times as long as a step.
# After such a delay, one thread takes the steps alone, for sixteen times as long as the delay lasted. Then waiting
# costs little of the total time, however long the other process runs.


def rest_after_step(seconds: float, weight_bytes: int) -> float:
    """Return the number of seconds for which steps should avoid threads, given the time of a step on threads, or 0.

    A step counts as delayed if it took a millisecond longer than reading the weights at 10 GB/s, a tenth of what one
    core can do.
    """
    return 16 * seconds if seconds > 1e-3 + weight_bytes / 10e9 else 0.0
