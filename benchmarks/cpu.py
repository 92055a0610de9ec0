"""The CPU kernels against the best of PyTorch, JAX and ONNX Runtime: the whole suite that the README's table is from.

    python benchmarks/cpu.py                     # everything: about 20 minutes
    python benchmarks/cpu.py --part training     # one part; --help names them
    python benchmarks/readme_table.py benchmarks/results/cpu-DATE-CPU.json

Writes benchmarks/results/cpu-<date>-<cpu>.json, in the format that `minirnn.bench.report` describes. Parts that were
measured before on the same day and machine are kept, those measured now replace them.
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
from minirnn.bench.sizes import BY_NAME, NINE

RESULTS = Path(__file__).parent / "results"
USUAL = tuple(BY_NAME[name] for name in ("small", "medium", "char-rnn", "deepbench-512x16", "pytorch"))
STEP = tuple(BY_NAME[f"online-{H}"] for H in (128, 256, 512))

# name: what, cells, sizes, on one thread too
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[Any, ...], bool]] = {
    "training": (("training",), ("lstm",), NINE, True),
    "inference": (("inference",), ("lstm",), NINE, True),
    "forward": (("forward",), ("lstm",), NINE, True),
    "others": (("training", "inference"), ("rnn", "gru"), USUAL, False),
    "lengths": (("lengths",), ("lstm", "gru", "rnn"), USUAL, False),
    "gates": (("gates",), ("lstm", "gru", "rnn"), (), True),
    "step": (("step",), ("lstm", "gru", "rnn"), STEP, True),
    "float64": (("training",), ("lstm",), USUAL, False),
}


def plan(part: str, seconds: float, cores: int, names: tuple[str, ...] = PEERS) -> suite.BenchPlan:
    """What one part measures."""
    whats, cells, sizes, alone = PARTS[part]
    threads = tuple(sorted({1, cores})) if alone else (cores,)
    dtypes = ("float64",) if part == "float64" else ("float32",)
    return suite.BenchPlan(whats, cells, sizes, dtypes, threads, peers=names, seconds=seconds)


def merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """`new`, with the rows and runs of `old` that it doesn't measure anew."""
    if old is None:
        return new
    key = lambda row: json.dumps([row["what"], row["cell"], row["dtype"], row["threads"], row["size"]])
    measured = {key(row) for row in new["rows"]}
    rows = [row for row in old["rows"] if key(row) not in measured] + new["rows"]
    runs = [run for run in old["runs"] if run["part"] not in {run["part"] for run in new["runs"]}] + new["runs"]
    return new | {"rows": rows, "runs": runs, "summaries": suite.summaries(rows)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; several times for several")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each row, all contenders together")
    parser.add_argument("--compiled", action="store_true", help="PyTorch with torch.compile too (minutes more)")
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
