"""Measuring a row for benchmarks/gpu.py: proven right first, then timed in turns; and what the device can do at most.

Nothing here knows a library: contenders are those of on_gpu/peers.py, or a test's.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from on_gpu.peers import Contender, Missing, Numbers
from on_gpu.plan import Row, allowed, as_dict, bytes_moved, flop, roof

from minirnn.bench import timing

__all__ = ["Makers", "error", "interleaved", "measured", "rated"]

ROUNDS = 5
SETS, SET_BYTES = 6, 128 * 2**20  # so many sets of x and dout at most, or until they are more than twice any L2

Array = np.ndarray
Makers = dict[str, Callable[[Numbers], Contender]]


def sets(row: Row) -> int:
    """How many sets of inputs the calls take in turn, so that none finds its x in the cache."""
    one = max(1, bytes_moved(row))
    return max(1, min(SETS, -(-SET_BYTES // one)))


def error(got: dict[str, Array], exact: dict[str, Array]) -> tuple[float, str]:
    """The worst of ||got - exact|| / ||exact|| over the results that both have, and its name; NaN and gaps are inf."""
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


def interleaved(contenders: Iterable[Contender], seconds: float, rounds: int = ROUNDS) -> dict[str, list[list[float]]]:
    """Seconds a call: for each contender a list for each round, whose blocks of calls are taken in turns.

    `seconds` is for all together. A block's calls run back to back on the device; a round has up to three blocks.
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
            c.seconds(1)  # the caches are full of the others' numbers
            taken = [c.seconds(calls[c.name])]
            while len(taken) < 3 and sum(taken) * calls[c.name] < share * 2 / 3:
                taken.append(c.seconds(calls[c.name]))
            times[c.name].append(taken)
    return times


def measured(
    row: Row, reference: Callable[[Numbers], dict[str, Array]], makers: Makers, seconds: float, seed: int = 0
) -> dict[str, Any]:
    """A row of the document: errors, times, the ratio; contenders that are wrong are refused.

    reference(numbers): the exact results. makers: the contenders by name, "ours" among them. Each computes other
    numbers first, so that what a wrong one leaves unwritten doesn't hold what was right the time before.
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
        except Exception as problem:  # a library may raise anything, and the other rows are worth their time
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
    """times: median and quartiles of each; ratios: theirs / ours; figure: the fastest PyTorch / ours, or None."""
    made: dict[str, Any] = {
        "times": {name: dataclasses.asdict(timing.summary(each)) for name, each in rounds.items()},
        "ratios": {}, "figure": None,
    }  # fmt: skip
    if "ours" in rounds:
        made["ratios"] = {n: timing.ratio(each, rounds["ours"]) for n, each in rounds.items() if n != "ours"}
        peers = [ratio["median"] for name, ratio in made["ratios"].items() if name.startswith("torch")]
        made["figure"] = min(peers, default=None)
    return made


def rated(found: dict[str, Any], row: Row, peaks: dict[str, float], bandwidth: float) -> dict[str, Any]:
    """The row with its roof, and for each time: flops and bytes a second, and which share of the roof that is."""
    limit = roof(row, peaks, bandwidth)
    for times in found["times"].values():
        times["flops"] = found["flop"] / times["median"]
        times["bandwidth"] = found["bytes"] / times["median"]
        times["of_roof"] = limit["seconds"] / times["median"] if limit else None
    return found | {"roof": limit}


def best_of(clock: Callable[[Callable[[], Any]], float], work: Callable[[], Any], tries: int = 7) -> float:
    """The shortest of several times of the work, which runs once before: other work can only slow it down."""
    clock(work)
    return min(clock(work) for _ in range(tries))


def spread(times: dict[str, Any]) -> float:
    """Half the distance of the quartiles as a share of the median."""
    return (times["q3"] - times["q1"]) / 2 / times["median"]


def middle(values: Iterable[float]) -> float | None:
    """The median, None of nothing."""
    there = list(values)
    return statistics.median(there) if there else None
