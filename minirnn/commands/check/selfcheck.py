"""Every cell's hand-written backward pass, checked by three independent judges in float32 and float64.

    finite differences   of the forward pass, in the cell's own precision
    complex step         the same forward pass on complex numbers
    autograd             the engine's derivative of the same forward pass, run on Tensors

The judges share only the forward pass. The sizes are pairwise distinct (B 3, I 4, H 5), and states and upstream
gradients are random, so that a transpose or a missing term changes the result.
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
from minirnn_kernels.cell import CELLS, Cell

__all__ = ["DTYPES", "JUDGES", "SUBJECTS", "Result", "Subject", "judge_cell", "run"]

B, I, H = 3, 4, 5
DTYPES = ("float32", "float64")
JUDGES = ("finite differences", "complex step", "autograd")


@dataclass(frozen=True)
class Subject:
    """A cell's step and its backward pass, which are checked against each other."""

    name: str
    cell: Cell
    step: Callable[..., Any]
    backward: Callable[..., Any]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The names and shapes of the step's arguments."""
        K = len(self.cell.gates) * H
        states = dict.fromkeys(self.cell.states, (B, H))
        return {"x": (B, I), **states, "W_ih": (K, I), "W_hh": (K, H), **dict.fromkeys(self.cell.biases, (K,))}


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


SUBJECTS = (
    *(
        Subject(f"RNN {f}", CELLS["rnn"], partial(cells.rnn_step, nonlinearity=f), cells.rnn_step_backward)
        for f in CELLS["rnn"].nonlinearities
    ),
    Subject("LSTM", CELLS["lstm"], cells.lstm_step, cells.lstm_step_backward),
    Subject("GRU", CELLS["gru"], cells.gru_step, cells.gru_step_backward),
)


def judge_cell(subject: Subject, dtype: str, seed: int = 0) -> Iterator[Result]:
    """Yield the verdicts of the three judges. The arguments and upstream gradients are drawn from `seed`."""
    rng = np.random.default_rng(seed)
    names = list(subject.shapes)
    inputs = [rng.standard_normal(shape).astype(dtype) for shape in subject.shapes.values()]
    upstream = [rng.standard_normal((B, H)).astype(dtype) for _ in subject.cell.states]
    into = upstream if len(upstream) > 1 else upstream[0]
    for judge, method in zip(JUDGES, ("differences", "complex"), strict=False):
        report = check(subject.step, subject.backward, inputs, upstream=into, judge=method, seed=seed, names=names)  # type: ignore[arg-type]
        yield Result(subject.name, dtype, judge, report)
    *_, cache = subject.step(*inputs)
    report = compare(subject.backward(*upstream, cache), by_autograd(subject, inputs, upstream), names=names)
    yield Result(subject.name, dtype, JUDGES[-1], report)


def by_autograd(subject: Subject, inputs: list[np.ndarray], upstream: list[np.ndarray]) -> list[Any]:
    """Return the gradients of sum(upstream * output) that the engine derives from the step."""
    tensors = [Tensor(array, requires_grad=True) for array in inputs]
    *outputs, _cache = subject.step(*tensors)
    total = sum((output * u).sum() for output, u in zip(outputs, upstream, strict=True))
    total.backward()
    return [tensor.grad for tensor in tensors]


def run(seed: int = 0) -> Iterator[Result]:
    """Yield the verdict of every judge on every cell in every dtype."""
    for subject in SUBJECTS:
        for dtype in DTYPES:
            yield from judge_cell(subject, dtype, seed)
