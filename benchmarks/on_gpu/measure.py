"""The measurement of a row for benchmarks/gpu.py: results are checked first, then contenders alternate.

Nothing here depends on a library: the contenders come from on_gpu/peers.py and on_gpu/ours.py, or from a test.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from on_gpu.contender import GpuContender, Numbers
from on_gpu.plan import GpuRow, allowed, as_dict, bytes_moved, flop, roof

from minirnn.bench import timing
from minirnn.bench.peers import Missing

__all__ = ["Makers", "error", "interleaved", "measured", "rated"]

ROUNDS = 5
SETS, SET_BYTES = 6, 128 * 2**20  # maximum number of sets of x and dout; bytes of all sets, over twice any L2 cache

Array = np.ndarray
Makers = dict[str, Callable[[Numbers], GpuContender]]


def sets(row: GpuRow) -> int:
    """Return the number of input sets through which the calls rotate, so that no call finds its x in the cache."""
    one = max(1, bytes_moved(row))
    return max(1, min(SETS, -(-SET_BYTES // one)))


def error(got: dict[str, Array], exact: dict[str, Array]) -> tuple[float, str]:
    """Return the largest ||got - exact|| / ||exact|| over the common results, and its name; NaN counts as infinity."""
    worst = 0.0, ""
    assert got.keys() & exact.keys(), f"no results in common: {sorted(got)} and {sorted(exact)}"
    for name in sorted(got.keys() & exact.keys()):
        if got[name].shape != exact[name].shape:
            return np.inf, f"{name} of shape {got[name].shape}, expected {exact[name].shape},"
        norm = float(np.linalg.norm(exact[name]))
        off = float(np.linalg.norm(got[name] - exact[name])) / (norm or 1.0)
        off = np.inf if np.isnan(off) else off
        if off >= worst[0]:
            worst = off, name
    return worst


def interleaved(
    contenders: Iterable[GpuContender], seconds: float, rounds: int = ROUNDS
) -> dict[str, list[list[float]]]:
    """Return the seconds per call of each contender: one list per round. The contenders take turns within a round.

    `seconds` is the time for all contenders together. A round has up to three blocks of consecutive calls.
    """
    found, calls = list(contenders), {}
    times: dict[str, list[list[float]]] = {c.name: [] for c in found}
    if not found:
        return {}
    share = seconds / (rounds * len(found))
    for c in found:
        c.seconds(1)
        calls[c.name] = max(1, int(share / 3 / max(c.seconds(2), 1e-7)))
    for k in range(rounds):
        turn = k % len(found)
        for c in found[turn:] + found[:turn]:
            c.seconds(1)  # fills the caches, which hold the other contenders' numbers
            taken = [c.seconds(calls[c.name])]
            while len(taken) < 3 and sum(taken) * calls[c.name] < share * 2 / 3:
                taken.append(c.seconds(calls[c.name]))
            times[c.name].append(taken)
    return times


def measured(
    row: GpuRow, reference: Callable[[Numbers], dict[str, Array]], makers: Makers, seconds: float, seed: int = 0
) -> dict[str, Any]:
    """Return a row of the document: errors, times and ratios. A contender with wrong results is not timed.

    reference(numbers): the exact results. makers: the contenders by name, including "ours". Each contender computes
    with other numbers first, so that memory that it fails to write does not still contain the correct results.
    """
    numbers, other = Numbers(row, seed, sets(row)), Numbers(row, seed + 1, 1)
    limit = allowed(row)
    found: dict[str, Any] = {
        "row": as_dict(row), "flop": flop(row), "bytes": bytes_moved(row), "allowed": limit, "sets": len(numbers.sets),
        "errors": {}, "refused": {}, "missing": {}, "notes": {}, "times": {}, "ratios": {}, "figure": None,
    }  # fmt: skip
    exact, contenders = reference(numbers), []
    for name, make in makers.items():
        try:
            make(other).once()
            contender = make(numbers)
            off, worst = error(contender.once(), exact)
        except Missing as missing:
            if str(missing):
                found["missing"][name] = str(missing)
            continue
        except Exception as problem:  # a library can raise anything, and the other rows must still be measured
            found["refused"][name] = f"{type(problem).__name__}: {problem}"
            continue
        found["errors"][name] = off if np.isfinite(off) else None
        if not off <= limit:
            found["refused"][name] = f"{worst} is off by {off:.2g} of its norm, allowed {limit:.2g}"
            continue
        contenders.append(contender)
    rounds = interleaved(contenders, seconds)
    found["notes"] = {c.name: c.notes for c in contenders if c.notes}
    return found | compared(rounds)


def compared(rounds: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Return times (median and quartiles), ratios (their time / ours) and figure (fastest PyTorch / ours, or None)."""
    made: dict[str, Any] = {
        "times": {name: dataclasses.asdict(timing.summary(each)) for name, each in rounds.items()},
        "ratios": {}, "figure": None,
    }  # fmt: skip
    if "ours" in rounds:
        made["ratios"] = {n: timing.ratio(each, rounds["ours"]) for n, each in rounds.items() if n != "ours"}
        peers = [ratio["median"] for name, ratio in made["ratios"].items() if name.startswith("torch")]
        made["figure"] = min(peers, default=None)
    return made


def rated(found: dict[str, Any], row: GpuRow, peaks: dict[str, float], bandwidth: float) -> dict[str, Any]:
    """Return the row with its roof, and for each time the FLOP/s, the bytes per second and the share of the roof."""
    limit = roof(row, peaks, bandwidth)
    for times in found["times"].values():
        times["flops"] = found["flop"] / times["median"]
        times["bandwidth"] = found["bytes"] / times["median"]
        times["of_roof"] = limit["seconds"] / times["median"] if limit else None
    return found | {"roof": limit}


def best_of(clock: Callable[[Callable[[], Any]], float], work: Callable[[], Any], tries: int = 7) -> float:
    """Return the shortest time of several calls after a warm-up call; other processes can only slow a call down."""
    clock(work)
    return min(clock(work) for _ in range(tries))


def spread(times: dict[str, Any]) -> float:
    """Return half the distance between the quartiles, as a share of the median."""
    return (times["q3"] - times["q1"]) / 2 / times["median"]


def middle(values: Iterable[float]) -> float | None:
    """Return the median, or None if there are no values."""
    there = list(values)
    return statistics.median(there) if there else None
