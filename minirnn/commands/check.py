"""`minirnn check`: the table of every cell's gradients before every judge."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.table import Table

from minirnn import selfcheck

__all__ = ["check"]


def check(console: Console, seed: int = 0) -> bool:
    """Print the table, and the full report of what didn't pass; True if everything did."""
    results = list(selfcheck.run(seed))
    console.print(table(results))
    for result in results:
        if not result.report:
            head = f"\n{result.cell}, {result.dtype}, {result.judge}:\n"
            console.print(head + str(result.report), markup=False, highlight=False, soft_wrap=True)
    passed = sum(bool(result.report) for result in results)
    console.print(f"{passed} of {len(results)} verdicts are PASS (seed {seed})", highlight=False)
    return passed == len(results)


def table(results: Iterable[selfcheck.Result]) -> Table:
    """A row for each cell and dtype, a column for each judge: verdict and largest error relative to the gradient."""
    found = Table(title="hand-written gradients, worst relative error against each judge", title_justify="left")
    for name in ("cell", "dtype", *selfcheck.JUDGES):
        found.add_column(name)
    for (cell, dtype), group in groupby(results, lambda result: (result.cell, result.dtype)):
        found.add_row(cell, dtype, *(_verdict(result) for result in group))
    return found


def _verdict(result: selfcheck.Result) -> str:
    colour = "green" if result.report else "red"
    return f"[{colour}]{result.report.verdict}[/{colour}] {result.error:.1e}"
