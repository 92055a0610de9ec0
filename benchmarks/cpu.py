"""The CPU kernels against PyTorch, JAX and ONNX Runtime: the whole suite behind docs/performance.md.

    python benchmarks/cpu.py                     # everything: about 20 minutes
    python benchmarks/cpu.py --part training     # one part; --help names them
    python benchmarks/performance_table.py benchmarks/results/cpu-DATE-CPU.json

Writes benchmarks/results/cpu-<date>-<cpu>.json, in the format that `minirnn.bench.report` describes. A part that is
measured again replaces its earlier result in a file of the same day and machine; the other parts are kept.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from minirnn.bench import machine, report, suite
from minirnn.bench.errors import BenchError
from minirnn.bench.peers import COMPILED, PEERS
from minirnn.bench.sizes import BY_NAME, NINE, USUAL, Size

RESULTS = Path(__file__).parent / "results"
ONLINE = tuple(BY_NAME[f"online-{H}"] for H in (128, 256, 512))

# name: what, cells, sizes, whether one thread is measured too
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[Size, ...], bool]] = {
    "training": (("training",), ("lstm",), NINE, True),
    "inference": (("inference",), ("lstm",), NINE, True),
    "forward": (("forward",), ("lstm",), NINE, True),
    "others": (("training", "inference"), ("rnn", "gru"), USUAL, False),
    "lengths": (("lengths",), ("lstm", "gru", "rnn"), USUAL, False),
    "gates": (("gates",), ("lstm", "gru", "rnn"), (), True),
    "step": (("step",), ("lstm", "gru", "rnn"), ONLINE, True),
    "float64": (("training",), ("lstm",), USUAL, False),
}


def plan(part: str, seconds: float, cores: int, names: tuple[str, ...] = PEERS) -> suite.BenchPlan:
    """Return the measurements of one part."""
    whats, cells, sizes, alone = PARTS[part]
    threads = tuple(sorted({1, cores})) if alone else (cores,)
    dtypes = ("float64",) if part == "float64" else ("float32",)
    return suite.BenchPlan(whats, cells, sizes, dtypes, threads, peers=names, seconds=seconds)


def merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Return `new` with the rows and runs of `old` that it does not replace."""
    if old is None:
        return new

    def key(row: dict[str, Any]) -> str:
        return json.dumps([row["what"], row["cell"], row["dtype"], row["threads"], row["size"]])

    measured = {key(row) for row in new["rows"]}
    rows = [row for row in old["rows"] if key(row) not in measured] + new["rows"]
    runs = [run for run in old["runs"] if run["part"] not in {run["part"] for run in new["runs"]}] + new["runs"]
    return new | {"rows": rows, "runs": runs, "summaries": suite.summaries(rows)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; can be repeated")
    parser.add_argument("--seconds", type=float, default=4.0, help="per row, all contenders together")
    parser.add_argument("--compiled", action="store_true", help="include torch.compile (takes minutes longer)")
    parser.add_argument("--out", type=Path, help="the file to write, instead of one in benchmarks/results")
    options = parser.parse_args()
    console = Console(width=120)
    stamp = machine.stamp()
    slug = re.sub(r"[^a-z0-9]+", "-", f"{stamp['cpu']} {stamp['cores']}".lower()).strip("-")
    path = options.out or RESULTS / f"cpu-{stamp['date'][:10]}-{slug}.json"
    path.parent.mkdir(exist_ok=True)
    names = (*PEERS, COMPILED) if options.compiled else PEERS
    wrong = 0
    for part in options.part or PARTS:
        tell = lambda event: console.print(event["what"], style="dim") if event["event"] == "begin" else None
        document = suite.run(plan(part, options.seconds, len(machine.cores()), names), tell)
        for run in document["runs"]:
            run["part"] = part
        report.show(console, document | {"phases": []})
        wrong += len(suite.refusals(document))
        document["command"] = "python benchmarks/cpu.py"
        old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        report.write(path, merged(old, document))
        console.print(f"written to {path}", markup=False, highlight=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"cpu.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
