"""Interleaved timing, and statistics of the times.

Functions are timed alternately, so that other work on the machine affects all of them. Each turn is a short block of
calls rather than one call: the idle threads of a library spin for a while and would take the cores from the next one,
and each library fills the caches with its own data. The first call of a block is not counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Summary", "geometric_mean", "interleaved", "ratio", "summary"]

SHORTEST = 1e-4  # seconds; shorter calls are timed several at once
PAUSE = 0.01  # seconds between blocks, in which the threads of the last function go to sleep


@dataclass(frozen=True)
class Summary:
    """The median and the quartiles in seconds per call, and the number of samples."""

    samples: int
    median: float
    q1: float
    q3: float


def interleaved(
    functions: Mapping[str, Callable[[], Any]],
    seconds: float,
    rounds: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[list[float]]]:
    """Return the seconds per call of each function, in a list for each round.

    seconds: the approximate time for all functions together. In each round each function has a block of at least one
    call; the order rotates from round to round. A function whose call fills its block has no uncounted call before.
    """
    names = list(functions)
    times: dict[str, list[list[float]]] = {name: [] for name in names}
    block = seconds / (rounds * len(names))
    single = {name: _one(functions[name], clock) for name in names}
    for k in range(rounds):
        turn = k % len(names)
        for name in names[turn:] + names[:turn]:
            function = functions[name]
            time.sleep(PAUSE)
            if single[name] < block / 3:
                function()
            at_once = max(1, round(SHORTEST / max(single[name], 1e-8)))
            taken: list[float] = []
            stop = clock() + block
            while not taken or clock() < stop:
                begin = clock()
                for _ in range(at_once):
                    function()
                taken.append((clock() - begin) / at_once)
            times[name].append(taken)
    return times


def _one(function: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Return the approximate seconds of a call, without counting the first call unless it is long."""
    for _ in range(2):
        begin = clock()
        function()
        taken = clock() - begin
        if taken > 1.0:
            break
    return taken


def summary(rounds: Sequence[Sequence[float]]) -> Summary:
    """Return the statistics of all times of all rounds."""
    times = [t for taken in rounds for t in taken]
    q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    return Summary(len(times), median, q1, q3)


def ratio(theirs: Sequence[Sequence[float]], ours: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return their median / our median, above 1 where we are faster, and the quartiles of the ratio over the rounds."""
    each = [statistics.median(a) / statistics.median(b) for a, b in zip(theirs, ours, strict=True)]
    q1, _, q3 = statistics.quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
    return {"median": summary(theirs).median / summary(ours).median, "q1": q1, "q3": q3}


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the geometric mean, which is 1 for a and 1/a. Raises ValueError for an empty sequence."""
    if not ratios:
        raise ValueError("the geometric mean of no ratios is not defined")
    return statistics.geometric_mean(ratios)
