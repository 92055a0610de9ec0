"""The growth of time and memory: T, B and H (= I) are doubled one at a time, and growth exponents are fitted.

    python benchmarks/growth.py [--cell lstm] [--json FILE]

Theory: every step of every sequence has the same cost, so time grows as T^1 and B^1. The products are H x (I + H) for
each gate, so with I = H time grows as H^2. A fitted exponent is the least-squares slope of the logarithms.

Memory: a training step (forward and backward) in a new process, after a small step that loads the code. The table shows
the peak resident memory during the step minus the resident memory before it, as Linux reports it, and for our records
also the peak of NumPy's allocations (tracemalloc). The unit is one number for each B, T and H.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import minirnn_kernels
from minirnn.bench import machine, peers, report, suite
from minirnn.bench.errors import BenchError
from minirnn.bench.problems import Problem
from minirnn.bench.sizes import Size
from minirnn.bench.worker import OURS
from minirnn_kernels.cell import CELLS

THEORY = {"T": 1.0, "B": 1.0, "H": 2.0}
AXES = {  # the sizes along each axis; the other sizes are constant
    "T": [Size(f"T={T}", 32, T, 256, 256, "growth") for T in (16, 32, 64, 128, 256)],
    "B": [Size(f"B={B}", B, 32, 256, 256, "growth") for B in (24, 48, 96, 192, 384)],
    "H": [Size(f"H={H}", 48, 24, H, H, "growth") for H in (128, 256, 512, 1024)],
}
MEMORY = Size("memory", 64, 100, 256, 512, "growth")
SMALL = Size("warm-up", 2, 3, 4, 8, "growth")


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of log(seconds) over log(sizes)."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def growth(cell: str, seconds: float, console: Console) -> list[dict[str, Any]]:
    """Return a row for each axis and contender: {axis, contender, sizes, medians, exponent, theory}."""
    found = []
    for axis, sizes in AXES.items():
        plan = suite.BenchPlan(("training",), (cell,), tuple(sizes), threads=(1,), peers=("torch",), seconds=seconds)
        tell = lambda event: console.print(event["what"], style="dim") if event["event"] == "begin" else None
        rows = suite.run(plan, tell)["rows"]
        for name in rows[0]["times"]:
            medians = [row["times"][name]["median"] for row in rows]
            steps = [row["size"][axis] for row in rows]
            found.append({
                "axis": axis, "contender": name, "sizes": steps, "medians": medians,
                "exponent": exponent(steps, medians), "theory": THEORY[axis],
            })  # fmt: skip
    return found


def memory(cell: str) -> list[dict[str, Any]]:
    """Return a row for each contender: {contender, bytes, words, numpy_words}; words are per B T H."""
    found = []
    for name in (*OURS, "torch"):
        done = subprocess.run(
            [sys.executable, __file__, "--child", name, cell],
            capture_output=True, text=True, env=machine.environment(1),
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["(no output)"])[-1]
            found.append({"contender": name, "missing": last})
            continue
        measured = json.loads(done.stdout.splitlines()[-1])
        unit = MEMORY.B * MEMORY.T * MEMORY.H * 4
        words = {"words": measured["bytes"] / unit}
        if measured["numpy_bytes"]:
            words["numpy_words"] = measured["numpy_bytes"] / unit
        found.append({"contender": name, "bytes": measured["bytes"], **words})
    return found


def child(name: str, cell: str) -> None:
    """Print the memory peaks of one training step as JSON; runs in its own process."""

    def contender(size: Size) -> peers.Contender:
        problem = Problem("training", cell, size)
        if name in OURS:
            return peers.of_record(minirnn_kernels.get(name), problem)
        peers.library("torch").set_num_threads(1)
        return peers.of_peer(name, problem)

    contender(SMALL).run()
    step = contender(MEMORY)
    _reset_peak()
    before = _status("VmRSS")
    kept = step.run()
    peak = _status("VmHWM") - before
    del kept
    allocated = 0
    if name in OURS:
        tracemalloc.start()
        kept = step.run()
        allocated = tracemalloc.get_traced_memory()[1]
        del kept
    print(json.dumps({"bytes": peak, "numpy_bytes": allocated}))


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    """Return a field of /proc/self/status, which is in kB, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", choices=tuple(CELLS), default="lstm")
    parser.add_argument("--seconds", type=float, default=2.0, help="per size, all contenders together")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    console = Console(width=120)
    grown = growth(options.cell, options.seconds, console)
    table = Table(title=f"{options.cell} training, one thread, float32: time ~ size^exponent")
    for column in ("doubled", "range", "contender", "exponent", "theory"):
        table.add_column(column)
    for row in grown:
        span = f"{row['sizes'][0]} to {row['sizes'][-1]}"
        table.add_row(row["axis"], span, row["contender"], f"{row['exponent']:.2f}", f"{row['theory']:g}")
    console.print(table)
    used = memory(options.cell)
    table = Table(title=f"peak memory of a training step at {MEMORY}, in numbers per B T H")
    for column in ("contender", "resident", "allocated by NumPy"):
        table.add_column(column)
    for row in used:
        shown = row["missing"] if "missing" in row else f"{row['words']:.1f}"
        table.add_row(row["contender"], shown, f"{row['numpy_words']:.1f}" if "numpy_words" in row else "–")
    console.print(table)
    if options.json:
        stamp = {"machine": machine.stamp(), "cell": options.cell, "size": str(MEMORY)}
        report.write(options.json, stamp | {"growth": grown, "memory": used})


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"growth.py: {error}")
