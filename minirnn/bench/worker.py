"""A process that measures: `python -m minirnn.bench.worker`, with a plan on stdin and events as JSON lines on stdout.

Libraries read their number of threads when they load, so each number of threads has its own process, which starts with
the number in its environment. Events: {"event": "machine" | "peak" | "proof" | "begin" | "row" | "end", ...}.

Only correct contenders are timed: `minirnn_kernels.proof` proves each record, and at each size the results and
gradients of every contender are compared with those of the NumPy kernels in float64. Contenders with wrong results are
named and not timed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

import minirnn_kernels
from minirnn.bench import machine, peak, peers, pointwise, steps, timing
from minirnn.bench.peers import Contender, Missing
from minirnn.bench.problems import Problem, disagreement, tolerance
from minirnn.bench.sizes import Size
from minirnn_kernels.contract import Kernels
from minirnn_kernels.proof import prove

__all__ = ["main", "measure", "usable_records"]

Event = dict[str, Any]

PEAK = "multiply-adds"  # its name among the contenders
OURS = ("numba", "numpy")  # the records of this package that are measured, fastest first


def main() -> None:
    """Read the plan, measure, and write events. The output of libraries goes to stderr."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for event in measure(json.load(sys.stdin)):
        print(json.dumps(event), file=channel, flush=True)


def measure(plan: dict[str, Any]) -> Iterator[Event]:
    """Yield the events of a plan: {"threads", "seed", "seconds", "rounds", "kernel", "peers", "tasks"}."""
    threads = plan["threads"]
    machine.use_cores(threads)
    try:
        records = list(_records(plan["kernel"]))
    except minirnn_kernels.KernelFileError as error:
        yield {"event": "mistake", "text": str(error)}
        return
    _set_torch_threads(plan["peers"], threads)
    proven: list[Kernels] = []
    for record in records:
        yield {"event": "begin", "what": f"proving {record.name}"}
        wrong = _proof(record)
        yield {"event": "proof", "record": record.name, "error": wrong}
        if wrong is None:
            proven.append(record)
    yield _peak("before", plan)
    for task in plan["tasks"]:
        name = f"{task['cell']} {task['what']} {task['size']['name']} {task['dtype']}, {threads} threads"
        yield {"event": "begin", "what": name}
        yield {"event": "row", "threads": threads} | _row(plan, task, proven, records[0].name)
        gc.collect()
    yield _peak("after", plan)
    yield {"event": "machine", **machine.stamp()}
    yield {"event": "end"}


def _records(kernel: str | None) -> Iterator[Kernels]:
    """Yield the user's record, then ours. The first one is compared with the peers."""
    if kernel is not None:
        yield minirnn_kernels.load(kernel)
    yield from map(minirnn_kernels.get, usable_records())


def usable_records() -> list[str]:
    """Return the names of our records that can run on this machine, fastest first."""
    available = minirnn_kernels.available()
    return [name for name in OURS if available[name] is None]


def _set_torch_threads(names: list[str], threads: int) -> None:
    if any(name.startswith("torch") for name in names):
        try:
            peers.library("torch").set_num_threads(threads)
        except Missing:
            return


def _proof(record: Kernels) -> str | None:
    """Return None, or the message of the proof if it fails."""
    try:
        prove(record)
    except AssertionError as error:
        return str(error)
    return None


def _peak(when: str, plan: dict[str, Any]) -> Event:
    """Return the rates of multiply-adds for each dtype and of traffic in caches and memory, or why there are none."""
    found: Event = {"event": "peak", "when": when, "flops": {}, "traffic": {}, "reason": None}
    try:
        for dtype in sorted({task["dtype"] for task in plan["tasks"]}):
            found["flops"][dtype] = peak.flops(dtype, plan["threads"])
        for working_set in (2**20, 2**28):
            found["traffic"][str(working_set)] = peak.traffic(working_set, "float32", plan["threads"])
    except Missing as missing:
        found["reason"] = str(missing)
    return found


# ---- one row ---------------------------------------------------------------------------------------------------------


def _row(plan: dict[str, Any], task: dict[str, Any], records: list[Kernels], judged: str) -> Event:
    size = Size(**task["size"])
    row: Event = task | {"ours": judged, "missing": {}, "refused": {}, "errors": {}, "bound": None}
    if task["what"].startswith("gates"):
        contenders = _pointwise(row, plan, size, records)
    else:
        contenders = _sequences(row, plan, size, records)
    functions = {c.name: c.run for c in contenders}
    operations = 0
    if row["flop"] and functions:
        with contextlib.suppress(Missing):
            functions[PEAK], operations = peak.multiply_adds(row["dtype"], plan["threads"])
    others = machine.Others()
    rounds = timing.interleaved(functions, plan["seconds"], plan["rounds"]) if functions else {}
    row["others"] = others.share()
    row["peak"] = operations / timing.summary(rounds.pop(PEAK)).median if operations else None
    calls = {c.name: c.calls for c in contenders}
    rounds = {name: [[t / calls[name] for t in taken] for taken in each] for name, each in rounds.items()}
    row["times"] = {name: dataclasses.asdict(timing.summary(each)) for name, each in rounds.items()}
    row["ratios"] = {
        name: timing.ratio(each, rounds[judged]) for name, each in rounds.items() if judged in rounds and name != judged
    }
    return row


def _sequences(row: Event, plan: dict[str, Any], size: Size, records: list[Kernels]) -> list[Contender]:
    problem = Problem(row["what"], row["cell"], size, row["dtype"], plan["seed"])
    row |= {"flop": problem.flop, "bytes": problem.bytes, "tolerance": tolerance(problem)}
    exact = _exact(problem)
    judge = lambda contender: _judge(contender, exact, tolerance(problem))
    return _admitted(row, _makers(problem, plan, records), judge)


def _admitted(
    row: Event,
    makers: Iterable[tuple[str, Callable[[], Contender]]],
    judge: Callable[[Contender], tuple[float | None, str | None]],
) -> list[Contender]:
    """Return the correct contenders; note in the row which are missing, which are refused, and the errors of all."""
    found = []
    for name, make in makers:
        try:
            contender = make()
        except Missing as missing:
            if str(missing):
                row["missing"][name] = str(missing)
            continue
        row["errors"][name], words = judge(contender)
        if words is None:
            found.append(contender)
        else:
            row["refused"][name] = words
    return found


def _makers(
    problem: Problem, plan: dict[str, Any], records: list[Kernels]
) -> Iterator[tuple[str, Callable[[], Contender]]]:
    """Yield the name of each possible contender, and a function that makes it."""
    known = minirnn_kernels.available()
    for record in records:
        if problem.what != "step":
            yield record.name, partial(peers.of_record, record, problem)
        elif record.name in known:
            yield record.name, partial(steps.of_cell, record.name, problem)
        else:
            yield record.name, partial(steps.of_record, record, problem)
    for name in plan["peers"]:
        if problem.what != "step":
            yield name, partial(peers.of_peer, name, problem)
        elif name == "torch":
            yield name, partial(steps.of_torch, problem)


def _exact(problem: Problem) -> dict[str, Any]:
    """Return the results of the NumPy kernels for the same numbers in float64."""
    what = "inference" if problem.what == "step" else problem.what
    exact = dataclasses.replace(problem, what=what, dtype="float64")
    exact.arrays.update({name: a.astype(np.float64) for name, a in problem.arrays.items()})
    contender = peers.of_record(minirnn_kernels.get("numpy"), exact)
    return contender.results(contender.run())


def _judge(contender: Contender, exact: dict[str, Any], allowed: float) -> tuple[float | None, str | None]:
    """Return the worst error relative to the tolerance, and the reason to refuse the contender, or None."""
    try:
        got = contender.results(contender.run())
        error, words = disagreement(got, exact, allowed)
    except Exception as problem:  # a user's kernel can raise anything
        return None, f"{type(problem).__name__}: {problem}"
    return (error if np.isfinite(error) else None), words


def _pointwise(row: Event, plan: dict[str, Any], size: Size, records: list[Kernels]) -> list[Contender]:
    problem = pointwise.PointwiseProblem(
        row["cell"], row["what"].endswith("backward"), size, row["dtype"], plan["seed"]
    )
    row |= {"flop": 0, "bytes": problem.bytes, "tolerance": None}
    with contextlib.suppress(Missing):
        row["bound"] = pointwise.bound(problem, plan["threads"])
    by_name = {record.name: record for record in records}

    def judge(contender: Contender) -> tuple[float | None, str | None]:
        error, words = pointwise.check(by_name[contender.name], problem)
        return (error if np.isfinite(error) else None), words

    makers = ((record.name, partial(pointwise.contender, record, problem)) for record in records)
    return _admitted(row, makers, judge)


if __name__ == "__main__":
    main()
