"""`minirnn doctor`: what this machine offers, and what would make it faster."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from minirnn.bench import doctor

__all__ = ["examine", "summarise"]


def examine(console: Console) -> None:
    """Everything, with advice."""
    _show(console, doctor.examine())
    for sentence in doctor.advice() or ["Nothing known would make it faster on a machine of its own."]:
        console.print(sentence, markup=False, highlight=False)


def summarise(console: Console) -> None:
    """The few lines that matter for speed, with advice if there is any."""
    _show(console, doctor.summary())
    for sentence in doctor.advice():
        console.print(sentence, markup=False, highlight=False)


def _show(console: Console, findings: Iterable[doctor.Fact]) -> None:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(Text(finding.subject), Text(finding.text))
    console.print(table)
