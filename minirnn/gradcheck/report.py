"""The result of a gradient check: a verdict, and for each tensor the worst entry with both values."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Verdict(enum.Enum):
    """The result for a tensor or a check.

    CANNOT_TELL: the judge's own error is larger than the tolerance, and the gradient agrees with the judge to within
    that error.
    """

    PASS = "PASS"
    FAIL = "FAIL"
    CANNOT_TELL = "CANNOT TELL"

    def __str__(self) -> str:
        return self.value


class GradientError(AssertionError):
    """A gradient check did not pass; the message is the report."""


@dataclass(frozen=True)
class Row:
    """The result for one tensor."""

    name: str
    verdict: Verdict
    judge: str
    index: tuple[int, ...] | None = None  # of the worst entry; None in directional mode
    analytic: float | None = None  # backward's value there; in directional mode its <v, gradient>
    numeric: float | None = None  # the judge's value there
    error: float | None = None  # |analytic - numeric| / scale
    tolerance: float | None = None  # the largest error that passes, relative to the scale
    noise: float | None = None  # the bound on the judge's error / scale: at this entry if it failed, else the largest
    scale: float | None = None
    wrong: int = 0  # entries whose error exceeds tolerance and noise
    size: int = 0  # entries of the tensor
    kinks: int = 0  # entries left out because the function has a kink there
    problem: str = ""  # the reason why the gradient can't be compared
    note: str = ""
    gradient: Any = field(default=None, repr=False, compare=False)  # backward's whole array
    estimate: Any = field(default=None, repr=False, compare=False)  # the judge's whole array, in full mode


@dataclass(frozen=True)
class Report:
    """The rows of all tensors. It is true only if the verdict is PASS; `str()` gives a table.

    faults: mistakes that don't depend on the numbers: arguments changed in place, calls with different results, a
    backward that isn't linear.
    """

    rows: tuple[Row, ...]
    mode: str
    seed: int | None = None
    problem: str = ""
    note: str = ""
    faults: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """FAIL if any row failed or there is a fault, else CANNOT TELL if a row has that verdict, else PASS."""
        found = [row.verdict for row in self.rows]
        if self.problem or self.faults or Verdict.FAIL in found:
            return Verdict.FAIL
        return Verdict.CANNOT_TELL if Verdict.CANNOT_TELL in found else Verdict.PASS

    def __bool__(self) -> bool:
        return self.verdict is Verdict.PASS

    def __getitem__(self, name: str) -> Row:
        """Return the row of one tensor; raise KeyError for an unknown name."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no tensor {name!r} in this report; it has {', '.join(row.name for row in self.rows)}")

    def failed(self) -> tuple[str, ...]:
        """Return the names of the tensors that failed."""
        return tuple(row.name for row in self.rows if row.verdict is Verdict.FAIL)

    def raise_unless_pass(self) -> None:
        """Raise GradientError, an AssertionError with the table as its message, unless the verdict is PASS."""
        if not self:
            raise GradientError(str(self))

    def __str__(self) -> str:
        seed = "" if self.seed is None else f", seed {self.seed}"
        lines = [f"gradient check: {self.verdict} ({self.mode}{seed})"]
        lines += [f"  {text}" for text in (self.problem, *self.faults, self.note) if text]
        if self.rows:
            lines += _table([_HEAD, *(_cells(row) for row in self.rows)])
        lines += [f"  {row.name}: {text}" for row in self.rows for text in _remarks(row)]
        return "\n".join(lines)


_HEAD = ["tensor", "verdict", "judge", "worst at", "backward", "judge's value", "error", "tolerance", "noise"]


def _cells(row: Row) -> list[str]:
    index = "-" if row.index is None else str(tuple(int(i) for i in row.index))
    values = [_number(row.analytic, ".9g"), _number(row.numeric, ".9g")]
    sizes = [_number(size, ".1e") for size in (row.error, row.tolerance, row.noise)]
    return [row.name, str(row.verdict), row.judge, index, *values, *sizes]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _table(cells: list[list[str]]) -> list[str]:
    widths = np.max([[len(cell) for cell in line] for line in cells], axis=0)
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    ]


def _remarks(row: Row) -> list[str]:
    remarks = [row.problem] if row.problem else []
    if row.wrong and row.index is not None:
        remarks.append(f"{row.wrong} of {row.size} entries are off by more than the tolerance and the noise")
    if row.kinks and row.index is None:
        remarks.append('the function has a kink along the direction; mode="full" can leave that entry out')
    elif row.kinks:
        remarks.append(f"{row.kinks} of {row.size} entries left out: the function has a kink there")
    return remarks + ([row.note] if row.note else [])
