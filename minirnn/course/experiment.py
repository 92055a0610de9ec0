"""The definition of an experiment, the list of all experiments, and code that their runs share.

An experiment is a module of `minirnn.course.experiments`. Its docstring explains the claim, its source and the method.
The module defines

    CLAIM, SOURCE                       one sentence each
    run(effort, seed, progress)         -> Outcome, which depends only on the effort and the seed
    tables(numbers)                     -> the tables to print
    draw(numbers)                       -> the figure

`tables` and `draw` read only the numbers stored in the JSON file, so a figure can be redrawn from that file.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, cast

__all__ = [
    "EXPERIMENTS",
    "Effort",
    "Experiment",
    "Numbers",
    "Outcome",
    "Progress",
    "Table",
    "find",
    "percent",
    "tracked",
    "verdict",
    "where",
]

Effort = Literal["quick", "default", "full"]  # on two cores: about 20 seconds, at most 5 minutes, no limit
Verdict = Literal["held", "held in part", "did not hold"]
Numbers = Mapping[str, Any]  # JSON values only
Progress = Callable[[float, str], object]  # shows the progress of a run: the completed share, the current activity
Item = TypeVar("Item")

EXPERIMENTS = (
    "order",
    "unfold",
    "vanishing",
    "memory",
    "agreement",
    "clipping",
    "exposure",
    "tbptt",
    "size",
    "streaming",
    "chatbot",
)


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    numbers: the measurements; the tables and the figure are made from them.
    measured: the result in one sentence.
    verdict: whether the claim held.
    why: one or two sentences that explain the verdict from the numbers; required unless the claim held.
    """

    numbers: Numbers
    measured: str
    verdict: Verdict
    why: str = ""

    def __post_init__(self) -> None:
        if self.verdict != "held" and not self.why:
            raise ValueError(f"a claim that {self.verdict} needs a reason")


@dataclass(frozen=True)
class Table:
    """A title, a header, and rows with one cell, a text or a number, per header entry."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]


class Experiment(Protocol):
    """The interface of an experiment's module."""

    CLAIM: str
    SOURCE: str

    def run(self, effort: Effort, seed: int, progress: Progress) -> Outcome: ...

    def tables(self, numbers: Numbers) -> Sequence[Table]: ...

    def draw(self, numbers: Numbers) -> Any: ...


def find(name: str) -> Experiment:
    """Return the experiment called `name`. Raise ValueError, listing the valid names, if there is none."""
    if name not in EXPERIMENTS:
        raise ValueError(f"experiment: expected one of {', '.join(EXPERIMENTS)}, got {name!r}")
    return cast(Experiment, importlib.import_module(f"minirnn.course.experiments.{name}"))


def tracked(
    items: Sequence[Item],
    progress: Progress,
    label: Callable[[Item], str],
    cost: Callable[[Item], float] = lambda _: 1.0,
) -> Iterator[tuple[Item, Callable[[float], None]]]:
    """Yield each item with a function that reports the completed share of its work.

    The progress over all items counts each with its `cost`, in any unit; `label` names the item that is being run.
    """
    total, done = sum(map(cost, items)), 0.0
    for item in items:

        def report(share: float, item: Item = item, done: float = done) -> None:
            progress((done + share * cost(item)) / total, label(item))

        report(0.0)
        yield item, report
        done += cost(item)


def verdict(held: bool, in_part: bool) -> Verdict:
    """Return the verdict of a claim that held, or held in part."""
    return "held" if held else "held in part" if in_part else "did not hold"


def where(rows: Sequence[Numbers], **values: Any) -> list[Numbers]:
    """Return the rows that have these values."""
    return [row for row in rows if all(row[key] == value for key, value in values.items())]


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share as a percentage with `digits` decimals, or "-" for None, which means that nothing was counted."""
    return "-" if share is None else f"{share:.{digits}%}"
