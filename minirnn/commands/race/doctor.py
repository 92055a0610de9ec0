"""`minirnn doctor`: facts about this machine, and advice on speed."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from minirnn.bench import doctor
from minirnn.commands.output import say

__all__ = ["examine", "summarise"]


def examine(console: Console) -> None:
    """Print all findings about the machine, and advice."""
    _show(console, doctor.examine(), doctor.advice() or ["No setting is known that would make it faster."])


def summarise(console: Console) -> None:
    """Print the findings that matter most for speed, and advice if there is any."""
    _show(console, doctor.summary(), doctor.advice())


def _show(console: Console, findings: Iterable[doctor.Fact], advice: Iterable[str]) -> None:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(Text(finding.subject), Text(finding.text))
    console.print(table)
    for sentence in advice:
        say(console, sentence)
