"""CPU times and allocated memory."""

import numpy as np

from minirnn.course.measuring import cpu_seconds, tracing


def test_each_call_has_a_cpu_time():
    calls = []
    times = cpu_seconds(lambda: calls.append(sum(range(10_000))), 5)
    assert times.shape == (5,)
    assert len(calls) == 5
    assert (times >= 0).all()
    assert times.sum() > 0


def test_allocated_memory_and_its_peak_are_counted():
    with tracing() as allocated:
        before, _ = allocated()
        kept = np.zeros(100_000)
        now, _ = allocated()
        np.zeros(1_000_000)
        later, peak = allocated()
    assert 800_000 <= now - before < 810_000
    assert kept.nbytes <= later - before < 810_000
    assert peak - before > 8_000_000
