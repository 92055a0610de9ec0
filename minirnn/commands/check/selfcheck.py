"""Every cell's hand-written backward pass before three independent judges, in float32 and float64.

    finite differences   of the forward pass, in the cell's own precision
    complex step         the same forward pass on complex numbers
    autograd             the engine's derivative of the same forward pass, run on Tensors

The judges share the forward pass and nothing else. Sizes are pairwise distinct (B 3, I 4, H 5), states and upstream
gradients are random, so that neither a transpose nor a dropped term can hide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minirnn.autograd import Tensor
from minirnn.gradcheck import Report, check, compare
from minirnn.recurrent import STEPS, STEPS_BACKWARD
from minirnn_kernels.cell import CELLS, Cell

__all__ = ["CHECKED_CELLS", "DTYPES", "JUDGES", "CheckedCell", "Result", "judge_cell", "run"]

B, I, H = 3, 4, 5
DTYPES = ("float32", "float64")
JUDGES = ("finite differences", "complex step", "autograd")


@dataclass(frozen=True)
class CheckedCell:
    """A cell with fixed options: its step and the step's backward, and the names and shapes of the step's arguments."""

    name: str
    step: Callable[..., Any]
    backward: Callable[..., Any]
    shapes: dict[str, tuple[int, ...]]
    outputs: int  # the number of states, which the step returns before its cache


@dataclass(frozen=True)
class Result:
    """The verdict of one judge on one cell in one dtype."""

    cell: str
    dtype: str
    judge: str
    report: Report

    @property
    def error(self) -> float:
        """The largest error of any argument's gradient, relative to that gradient's scale."""
        return max((row.error for row in self.report.rows if row.error is not None), default=float("nan"))


def _checked(cell: Cell, **options: str) -> CheckedCell:
    name = " ".join((cell.title, *options.values()))
    shapes = {"x": (B, I), **dict.fromkeys(cell.states, (B, H)), **cell.shapes(I, H)}
    step = partial(STEPS[cell.name], **options)
    return CheckedCell(name, step, STEPS_BACKWARD[cell.name], shapes, len(cell.states))


# Every cell of `minirnn_kernels.cell`, once for each of its nonlinearities.
CHECKED_CELLS = tuple(
    _checked(cell, **options)
    for cell in CELLS.values()
    for options in [{"nonlinearity": name} for name in cell.nonlinearities] or [{}]
)


def judge_cell(cell: CheckedCell, dtype: str, seed: int = 0) -> Iterator[Result]:
    """Yield the verdicts of the three judges on `cell`; `seed` determines its arguments and upstream gradients."""
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal(shape).astype(dtype) for shape in cell.shapes.values()]
    upstream = [rng.standard_normal((B, H)).astype(dtype) for _ in range(cell.outputs)]
    names = list(cell.shapes)
    question = (cell.step, cell.backward, inputs)
    given = upstream if cell.outputs > 1 else upstream[0]
    for judge, way in (("finite differences", "differences"), ("complex step", "complex")):
        report = check(*question, upstream=given, judge=way, seed=seed, names=names)  # type: ignore[arg-type]
        yield Result(cell.name, dtype, judge, report)
    *_, cache = cell.step(*inputs)
    by_hand = cell.backward(*upstream, cache)
    yield Result(cell.name, dtype, "autograd", compare(by_hand, by_autograd(cell, inputs, upstream), names=names))


def by_autograd(cell: CheckedCell, inputs: list[np.ndarray], upstream: list[np.ndarray]) -> list[Any]:
    """Return the gradients of sum(upstream * output) that the engine derives from the step alone."""
    tensors = [Tensor(array, requires_grad=True) for array in inputs]
    *outputs, _cache = cell.step(*tensors)
    total = sum((output * u).sum() for output, u in zip(outputs, upstream, strict=True))
    total.backward()
    return [tensor.grad for tensor in tensors]


def run(seed: int = 0) -> Iterator[Result]:
    """Yield the results of all cells, dtypes and judges."""
    for cell in CHECKED_CELLS:
        for dtype in DTYPES:
            yield from judge_cell(cell, dtype, seed)
