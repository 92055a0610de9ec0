"""What an experiment is, and the list of them.

An experiment is a module of this package: its docstring tells the claim and where it comes from to a reader, and it has

    CLAIM, SOURCE                       one sentence each
    run(effort, seed, progress)         -> Outcome, computed from nothing but the seed
    tables(numbers)                     -> what to print of the numbers
    draw(numbers)                       -> the figure of the numbers

`tables` and `draw` see the numbers only, as they stand in the JSON file, so a figure can be drawn again from that.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

__all__ = ["EXPERIMENTS", "Effort", "Experiment", "Outcome", "Progress", "Table", "find"]

Effort = Literal["quick", "default", "full"]  # about 20 seconds, at most 5 minutes, everything; on two cores
Numbers = Mapping[str, Any]  # what JSON can hold

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
    """The numbers of a run, what was measured in one sentence, and whether the claim held.

    `why`: where it didn't hold, or in part only, what the numbers say instead, in a sentence or two.
    """

    numbers: Numbers
    measured: str
    verdict: Literal["held", "held in part", "did not hold"]
    why: str = ""

    def __post_init__(self) -> None:
        if self.verdict != "held" and not self.why:
            raise ValueError(f"a claim that {self.verdict} needs a reason")


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers under a title, one cell for each word of the header."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | float | int]]


class Progress(Protocol):
    """Who is told how far a run is: a share in [0, 1] and what it is at."""

    def __call__(self, done: float, what: str) -> None: ...


class Experiment(Protocol):
    """What a module of this package looks like from outside."""

    CLAIM: str
    SOURCE: str

    def run(self, effort: Effort, seed: int, progress: Progress) -> Outcome: ...

    def tables(self, numbers: Numbers) -> Sequence[Table]: ...

    def draw(self, numbers: Numbers) -> Any: ...


def find(name: str) -> Experiment:
    """The experiment of this name. ValueError lists the names there are."""
    if name not in EXPERIMENTS:
        raise ValueError(f"experiment: expected one of {', '.join(EXPERIMENTS)}, got {name!r}")
    return cast(Experiment, importlib.import_module(f"minirnn.course.experiments.{name}"))
