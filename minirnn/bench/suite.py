"""Starts a worker for each number of threads and collects their measurements in one document (see `report`)."""

from __future__ import annotations

import dataclasses
import itertools
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minirnn.bench import machine, pointwise
from minirnn.bench.errors import BenchError
from minirnn.bench.peers import COMPILED, PEERS
from minirnn.bench.sizes import Size
from minirnn.bench.timing import geometric_mean

__all__ = ["SCHEMA", "WHATS", "BenchPlan", "refusals", "run", "summaries"]

SCHEMA = "minirnn-bench 1"
WHATS = ("gates", "forward", "inference", "training", "step", "lengths")
STEPS_PER_RUN = 64  # for the single steps of "step"

Event = dict[str, Any]


@dataclass(frozen=True)
class BenchPlan:
    """The measurements to make: every combination of the fields in the plural.

    kernel: a file with a record. seconds: the time for one row, all contenders together. rounds: see `timing`.
    """

    whats: tuple[str, ...]
    cells: tuple[str, ...]
    sizes: tuple[Size, ...]
    dtypes: tuple[str, ...] = ("float32",)
    threads: tuple[int, ...] = (1,)
    kernel: Path | None = None
    peers: tuple[str, ...] = PEERS
    seconds: float = 2.0
    rounds: int = 5
    seed: int = 0

    def tasks(self) -> list[dict[str, Any]]:
        """Return the rows that a worker measures, in order."""
        return [
            {"what": name, "cell": cell, "dtype": dtype, "size": dataclasses.asdict(size)}
            for what, cell, dtype in itertools.product(self.whats, self.cells, self.dtypes)
            for name, size in self._of(what)
        ]

    def _of(self, what: str) -> list[tuple[str, Size]]:
        if what == "gates":
            return [(name, size) for size in pointwise.SHAPES for name in ("gates", "gates backward")]
        if what == "step":
            units = sorted({size.H for size in self.sizes})
            return [
                ("step", Size(f"step-{H}", 1, STEPS_PER_RUN, H, H, "one step of one sequence, as in sampling"))
                for H in units
            ]
        return [(what, size) for size in self.sizes]


def run(plan: BenchPlan, tell: Callable[[Event], None]) -> dict[str, Any]:
    """Measure and return the document; `tell` is called with every event. Raises BenchError if a worker fails."""
    document: dict[str, Any] = {"schema": SCHEMA, "seed": plan.seed, "machine": {}, "runs": [], "rows": []}
    for threads in plan.threads:
        found: dict[str, Any] = {
            "threads": threads,
            "flops": {},
            "traffic": {},
            "others": None,
            "reason": None,
            "proofs": {},
        }
        document["runs"].append(found)
        others = machine.Others()
        for event in _events(plan, threads):
            tell(event)
            kind = event.pop("event")
            if kind == "machine":
                document["machine"] = event | {"cores": len(machine.cores())}  # the worker uses only some of them
            elif kind == "proof":
                found["proofs"][event["record"]] = event["error"]
            elif kind == "row":
                document["rows"].append(event)
            elif kind == "peak":
                found["reason"] = event["reason"]
                for name in ("flops", "traffic"):  # measured twice; the higher value counts
                    for key, value in event[name].items():
                        found[name][key] = max(value, found[name].get(key, 0.0))
        found["others"] = others.share()
    _rate(document)
    document["summaries"] = summaries(document["rows"])
    return document


def _events(plan: BenchPlan, threads: int) -> Iterator[Event]:
    asked = {
        "threads": threads,
        "seed": plan.seed,
        "seconds": plan.seconds,
        "rounds": plan.rounds,
        "kernel": str(plan.kernel) if plan.kernel else None,
        "peers": list(plan.peers),
        "tasks": plan.tasks(),
    }
    with tempfile.TemporaryFile("w+") as words, tempfile.TemporaryFile("w+") as given:
        json.dump(asked, given)
        given.seek(0)
        ended = False
        with subprocess.Popen(
            [sys.executable, "-m", "minirnn.bench.worker"],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            env=machine.environment(threads),
        ) as worker:
            try:
                for line in worker.stdout or ():
                    event = json.loads(line)
                    if event["event"] == "mistake":
                        raise BenchError(event["text"])
                    ended = event["event"] == "end"
                    if not ended:
                        yield event
            except BaseException:  # includes the GeneratorExit of a caller that stops early
                worker.kill()
                raise
        if not ended:
            words.seek(0)
            raise BenchError(_ending(worker.returncode, words.read()))


def _ending(code: int, words: str) -> str:
    """Return the reason why a worker ended early, with the last line of its output."""
    last = (words.strip().splitlines() or ["(no output)"])[-1]
    if code < 0:
        return f"the measuring process was ended by {signal.Signals(-code).name}; its last line of output: {last}"
    return f"the measuring process ended early with code {code}; its last line of output: {last}"


def _rate(document: dict[str, Any]) -> None:
    """Add GFLOP/s and the share of the row's peak to every time of every row."""
    for row in document["rows"]:
        calls = row["size"]["T"] if row["what"] == "step" else 1
        for times in row["times"].values():
            rate = row["flop"] / calls / times["median"]
            times["gflops"] = rate / 1e9 if row["flop"] else None
            times["of_peak"] = rate / row["peak"] if row["peak"] else None


def summaries(rows: list[Event]) -> list[dict[str, Any]]:
    """Return the geometric mean of the ratios over the sizes, the minimum ratio and the number of sizes.

    There is one entry for each kind of row and each peer. The peer "best" is the fastest library at each size.
    """
    groups: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    for row in rows:
        ratios = {name: ratio["median"] for name, ratio in row["ratios"].items()}
        best = [ratio for name, ratio in ratios.items() if name in (*PEERS, COMPILED)]
        if best:
            ratios["best"] = min(best)
        group = groups.setdefault((row["what"], row["cell"], row["dtype"], row["threads"], row["ours"]), {})
        for name, ratio in ratios.items():
            group.setdefault(name, []).append(ratio)
    return [
        {
            **dict(zip(("what", "cell", "dtype", "threads", "ours"), key, strict=True)),
            "peer": name,
            "geometric_mean": geometric_mean(found),
            "least": min(found),
            "sizes": len(found),
        }
        for key, group in groups.items()
        for name, found in group.items()
    ]


def refusals(document: dict[str, Any]) -> list[str]:
    """Return a sentence for each wrong result; empty if all measured results are correct."""
    found = [
        f"{error} ({each['threads']} threads)"
        for each in document["runs"]
        for error in each["proofs"].values()
        if error is not None
    ]
    for row in document["rows"]:
        where = f"{row['cell']} {row['what']} {row['size']['name']} {row['dtype']}, {row['threads']} threads"
        found += [f"{name}, {where}: {words}" for name, words in row["refused"].items()]
    return found
