"""Check every cell's hand-written backward pass with three independent judges, in float32 and float64.

    finite differences   of the forward pass, in the cell's own precision
    complex step         the same forward pass on complex numbers
    autograd             the engine's derivative of the same forward pass, run on Tensors

The judges share only the forward pass. Sizes are pairwise distinct (B 3, I 4, H 5), and states and upstream gradients
are random, so that wrong transposes and missing terms are visible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minirnn.autograd import Tensor
from minirnn.gradcheck import Report, check, compare
from minirnn.recurrent import cells

__all__ = ["CELLS", "DTYPES", "JUDGES", "Cell", "Result", "judge_cell", "run"]

B, I, H = 3, 4, 5
DTYPES = ("float32", "float64")
JUDGES = ("finite differences", "complex step", "autograd")


@dataclass(frozen=True)
class Cell:
    """A cell: its step and step_backward, and the names and shapes of the step's arguments."""

    name: str
    step: Callable[..., Any]
    backward: Callable[..., Any]
    shapes: dict[str, tuple[int, ...]]

    @property
    def outputs(self) -> int:
        """The number of states; the step returns the states and a cache."""
        return 2 if "c" in self.shapes else 1


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


def _shapes(gates: int, states: str, biases: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"x": (B, I), **dict.fromkeys(states, (B, H))}
    return shapes | {"W_ih": (gates * H, I), "W_hh": (gates * H, H)} | dict.fromkeys(biases, (gates * H,))


CELLS = (
    *(
        Cell(f"RNN {f}", partial(cells.rnn_step, nonlinearity=f), cells.rnn_step_backward, _shapes(1, "h", ("b",)))
        for f in ("tanh", "relu")
    ),
    Cell("LSTM", cells.lstm_step, cells.lstm_step_backward, _shapes(4, "hc", ("b",))),
    Cell("GRU", cells.gru_step, cells.gru_step_backward, _shapes(3, "h", ("b_ih", "b_hh"))),
)


def judge_cell(cell: Cell, dtype: str, seed: int = 0) -> Iterator[Result]:
    """Yield the verdicts of the three judges on `cell`, with arguments and upstream gradients drawn from `seed`."""
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


def by_autograd(cell: Cell, inputs: list[np.ndarray], upstream: list[np.ndarray]) -> list[Any]:
    """Return the gradients of sum(upstream * output), which the engine derives from the forward step."""
    tensors = [Tensor(array, requires_grad=True) for array in inputs]
    *outputs, _cache = cell.step(*tensors)
    total = sum((output * u).sum() for output, u in zip(outputs, upstream, strict=True))
    total.backward()
    return [tensor.grad for tensor in tensors]


def run(seed: int = 0) -> Iterator[Result]:
    """Yield the result of every judge for every cell and dtype."""
    for cell in CELLS:
        for dtype in DTYPES:
            yield from judge_cell(cell, dtype, seed)
