"""How much a text repeats itself, and whether it has entered a loop ("the the the the")."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

__all__ = ["Loop", "ending_loop", "repeated_share"]


def repeated_share(tokens: Sequence[Hashable], n: int) -> float:
    """The share, in [0, 1], of the n-grams of `tokens` that occurred before; 0 where there is no n-gram.

    One minus the number of distinct n-grams divided by that of all. Source: Welleck, Kulikov, Roller, Dinan, Cho and
    Weston 2020, "Neural text generation with unlikelihood training", seq-rep-n.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return (len(grams) - len(set(grams))) / len(grams) if grams else 0.0


class Loop(NamedTuple):
    """From token `start` on, everything repeats after `period` tokens."""

    start: int
    period: int


def ending_loop(tokens: Sequence[Hashable], times: int = 3, least: int = 1) -> Loop | None:
    """The loop in which `tokens` end, None if they don't; of several the one that begins first, then the shortest.

    A loop counts if its text stands there at least `times` times in full and is at least `least` tokens long in all; so
    `least` keeps a few spaces or dashes at the end from counting.
    """
    if times < 2 or least < 1:
        raise ValueError(f"times must be at least 2 and least at least 1, got {times} and {least}")
    found = []
    for period in range(1, len(tokens) // times + 1):
        start = len(tokens) - period
        while start > 0 and tokens[start - 1] == tokens[start - 1 + period]:
            start -= 1
        if len(tokens) - start >= max(times * period, least):
            found.append(Loop(start, period))
    return min(found, default=None)
