"""Measures of repetition in a text, and the detection of a loop at its end ("the the the the")."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

__all__ = ["Loop", "ending_loop", "repeated_share"]


def repeated_share(tokens: Sequence[Hashable], n: int) -> float:
    """Return the share, in [0, 1], of the n-grams of `tokens` that occurred before; 0 if there is no n-gram.

    This is 1 minus the number of distinct n-grams divided by the number of n-grams. Source: Welleck, Kulikov, Roller,
    Dinan, Cho and Weston 2020, "Neural text generation with unlikelihood training", seq-rep-n.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return (len(grams) - len(set(grams))) / len(grams) if grams else 0.0


class Loop(NamedTuple):
    """From index `start` on, the tokens repeat with this `period`."""

    start: int
    period: int


def ending_loop(tokens: Sequence[Hashable], times: int = 3, least: int = 1) -> Loop | None:
    """Return the loop at the end of `tokens`, or None. Earlier loops take precedence, then shorter ones.

    A loop must contain its period at least `times` times and be at least `least` tokens long in total. With `least`, a
    few spaces or dashes at the end are not a loop.
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
