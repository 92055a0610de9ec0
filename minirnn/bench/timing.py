"""Repetitions in turns, and what is said about them.

Two functions are compared by calls in turns, so that whatever else happens on the machine happens to both. In short
blocks of calls and not call by call: each library's idle threads spin for a while and would take the cores from the
next one's, and each leaves the caches full of its own. The first call of a block is not counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Summary", "geometric_mean", "interleaved", "ratio", "summary"]

SHORTEST = 1e-4  # seconds: calls that take less are timed several at once
PAUSE = 0.01  # seconds between blocks, for the last one's threads to go to sleep


@dataclass(frozen=True)
class Summary:
    """Median and quartiles, seconds a call; `samples` is how many times were taken."""

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
    """Seconds a call of each function: a list for each round. `seconds` is for all together, and about what it takes.

    In each round each function has a block of calls, at least one; the order turns from round to round. A function that
    fills its block with one call has no uncounted call before it.
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
    """About how long a call takes, the first one not counted."""
    begin = clock()
    function()
    first = clock() - begin
    if first > 1.0:
        return first
    begin = clock()
    function()
    return clock() - begin


def summary(rounds: Sequence[Sequence[float]]) -> Summary:
    """Of all times of all rounds."""
    times = [t for taken in rounds for t in taken]
    q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    return Summary(len(times), median, q1, q3)


def ratio(theirs: Sequence[Sequence[float]], ours: Sequence[Sequence[float]]) -> dict[str, float]:
    """Their median / our median, above 1 where we are faster; and the quartiles of the same ratio, round by round."""
    each = [statistics.median(a) / statistics.median(b) for a, b in zip(theirs, ours, strict=True)]
    q1, _, q3 = statistics.quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
    return {"median": summary(theirs).median / summary(ours).median, "q1": q1, "q3": q3}


def geometric_mean(ratios: Sequence[float]) -> float:
    """The mean for ratios: that of a and 1/a is 1. ValueError for none."""
    if not ratios:
        raise ValueError("the geometric mean of no ratios is not defined")
    return statistics.geometric_mean(ratios)
