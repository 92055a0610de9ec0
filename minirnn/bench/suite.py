"""Starts a worker for each number of threads and gathers what they measured in one document (see `report`)."""

from __future__ import annotations

import dataclasses
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

__all__ = ["SCHEMA", "WHATS", "Plan", "refusals", "run", "summaries"]

SCHEMA = "minirnn-bench 1"
WHATS = ("gates", "forward", "inference", "training", "step", "lengths")
STEPS = 64  # steps in a run of single ones

Event = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is to be measured. `seconds` is for one row, all contenders together, `kernel` a file with a record."""

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
        """What a worker measures, in order."""
        found = []
        for what in self.whats:
            for cell in self.cells:
                for dtype in self.dtypes:
                    for name, size in self._of(what):
                        task = {"what": name, "cell": cell, "dtype": dtype, "size": dataclasses.asdict(size)}
                        found.append(task)
        return found

    def _of(self, what: str) -> list[tuple[str, Size]]:
        if what == "gates":
            return [(name, size) for size in pointwise.SHAPES for name in ("gates", "gates backward")]
        if what == "step":
            units = sorted({size.H for size in self.sizes})
            return [
                ("step", Size(f"step-{H}", 1, STEPS, H, H, "one step of one sequence, as in sampling")) for H in units
            ]
        return [(what, size) for size in self.sizes]


def run(plan: Plan, tell: Callable[[Event], None]) -> dict[str, Any]:
    """Measure, handing on every event, and return the document. BenchError if a worker fails."""
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
                document["machine"] = event | {"cores": len(machine.cores())}  # the worker keeps to fewer
            elif kind == "proof":
                found["proofs"][event["record"]] = event["error"]
            elif kind == "row":
                document["rows"].append(event)
            elif kind == "peak":
                found["reason"] = event["reason"]
                for name in ("flops", "traffic"):  # measured twice: the higher one is the roof
                    for key, value in event[name].items():
                        found[name][key] = max(value, found[name].get(key, 0.0))
        found["others"] = others.share()
    _rate(document)
    document["summaries"] = summaries(document["rows"])
    return document


def _events(plan: Plan, threads: int) -> Iterator[Event]:
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
        worker = subprocess.Popen(
            [sys.executable, "-m", "minirnn.bench.worker"],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            env=machine.environment(threads),
        )
        ended = False
        try:
            for line in worker.stdout or ():
                event = json.loads(line)
                if event["event"] == "mistake":
                    raise BenchError(event["text"])
                ended = event["event"] == "end"
                if not ended:
                    yield event
            worker.wait()
        finally:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
            if worker.stdout:
                worker.stdout.close()
        if not ended:
            words.seek(0)
            raise BenchError(_ending(worker.returncode, words.read()))


def _ending(code: int, words: str) -> str:
    """Why a worker ended early, with the last thing it said."""
    last = (words.strip().splitlines() or ["it said nothing"])[-1]
    if code < 0:
        return f"the measuring process was ended by {signal.Signals(-code).name}; its last words: {last}"
    return f"the measuring process ended early with code {code}; its last words: {last}"


def _rate(document: dict[str, Any]) -> None:
    """GFLOP/s and the share of the row's peak, for every time of every row."""
    for row in document["rows"]:
        calls = row["size"]["T"] if row["what"] == "step" else 1
        for times in row["times"].values():
            rate = row["flop"] / calls / times["median"]
            times["gflops"] = rate / 1e9 if row["flop"] else None
            times["of_peak"] = rate / row["peak"] if row["peak"] else None


def summaries(rows: list[Event]) -> list[dict[str, Any]]:
    """For each kind of row and each peer: the geometric mean of the ratios over the sizes, the least, and how many.

    The peer "best" is, at each size, the fastest of the others that are not records of kernels.
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
    """Everything that was found wrong, a sentence each; empty if all that was measured is right."""
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
