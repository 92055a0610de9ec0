"""The cost of a first use: an LSTM training step in a new process, with an empty cache and with a full one.

    python benchmarks/cold_start.py [--repeat 3]

Each record runs in two new processes: first with an empty cache folder, so that everything is compiled, then with the
folder that the first process filled. The last column is the time of a whole process with a full cache, minus the time
of a process with NumPy's kernels.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from rich.console import Console
from rich.table import Table

from minirnn.bench import phases
from minirnn.bench.report import duration
from minirnn.bench.worker import usable_records
from minirnn_kernels.cell import CELLS

COLUMNS = ("process_cold", "process_warm", "import", "compile", "cache_load", "first_call", "steady")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each process; the table shows medians")
    parser.add_argument("--cell", choices=tuple(CELLS), default="lstm")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    medians = {}
    for name in usable_records():
        runs = [phases.measure(name, options.cell, threads=options.threads) for _ in range(options.repeat)]
        medians[name] = {column: statistics.median(run[column] for run in runs) for column in COLUMNS}
    table = Table(title=f"{options.cell} training step, medians of {options.repeat}")
    for column in ("kernels", *(name.replace("_", " ") for name in COLUMNS), "warm, more than numpy"):
        table.add_column(column)
    for name, found in medians.items():
        more = found["process_warm"] - medians["numpy"]["process_warm"]
        table.add_row(name, *(duration(found[column]) for column in COLUMNS), f"{more:+.2f} s")
    Console(width=140).print(table)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(f"cold_start.py: {error}")
