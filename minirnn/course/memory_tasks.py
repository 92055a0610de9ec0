"""Generated tasks that can be solved only by who remembers: what comes in, what is to be answered, how errors count.

Each task has a lag: between the first thing that matters and the answer lie at least `lag` steps. Sequences are drawn
afresh for each batch, so there is nothing to learn by heart. An error is a share of the error of doing nothing, that is
of the best answer that doesn't look at the sequence: 0 is perfect, 1 has remembered nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn import nn
from minirnn.autograd import Tensor

__all__ = ["TASKS", "Task", "first_symbol_of"]

Array = np.ndarray[Any, Any]
KEYS = 8  # symbols that matter, in the first-symbol task
NOISE = 8  # symbols that do not
COPIED, ALPHABET = 10, 8  # the copy task: so many symbols out of so many


@dataclass(frozen=True)
class Task:
    """A task: `draw(rng, lag, batch)` makes inputs (T, batch, inputs) and targets (answers, batch), or sums as floats.

    The last `answers` of the T steps are where the answers are read. `classes` is 0 where the answer is a number.
    `nothing` and `chance` are the errors of the best constant answer and of a random one: shares of wrong answers, or
    mean squared errors.
    """

    name: str
    inputs: int
    classes: int
    answers: int
    nothing: float
    chance: float
    draw: Callable[[np.random.Generator, int, int], tuple[Array, Array]]

    @property
    def outputs(self) -> int:
        return self.classes or 1

    def loss(self, scores: Tensor, targets: Array) -> Tensor:
        """What training lowers: scores (answers, batch, outputs) -> cross-entropy, or mean squared error."""
        if self.classes:
            return nn.cross_entropy(scores.reshape(-1, self.classes), targets.reshape(-1))
        return nn.mse_loss(scores[..., 0], targets)

    def error(self, scores: Array, targets: Array) -> float:
        """Share of wrong answers, or mean squared error, as a share of what doing nothing has."""
        wrong = scores.argmax(-1) != targets if self.classes else (scores[..., 0] - targets) ** 2
        return float(wrong.mean()) / self.nothing


def first_symbol_of(keys: int) -> Task:
    """One of so many keys, then `lag` symbols of noise; at the end: which key was it?"""

    def draw(rng: np.random.Generator, lag: int, batch: int) -> tuple[Array, Array]:
        ids = rng.integers(keys, keys + NOISE, (lag + 1, batch))
        ids[0] = rng.integers(0, keys, batch)
        return _one_hot(ids, keys + NOISE), ids[:1]

    return _classes("first symbol", keys + NOISE, keys, 1, draw)


def adding(rng: np.random.Generator, lag: int, batch: int) -> tuple[Array, Array]:
    """Numbers in [0, 1), two of them marked; at the end: the sum of the marked ones.

    The first mark is within the first tenth, the second after it but in the first half.
    """
    first, second, steps = _two_places(rng, lag, batch)
    x = np.zeros((steps, batch, 2), np.float32)
    x[..., 0] = rng.random((steps, batch))
    rows = np.arange(batch)
    x[first, rows, 1] = x[second, rows, 1] = 1
    return x, (x[first, rows, 0] + x[second, rows, 0])[None]


def temporal_order(rng: np.random.Generator, lag: int, batch: int) -> tuple[Array, Array]:
    """X or Y twice among noise, where the adding task has its marks; at the end: XX, XY, YX or YY?"""
    first, second, steps = _two_places(rng, lag, batch)
    ids = rng.integers(2, 2 + NOISE, (steps, batch))
    symbols = rng.integers(0, 2, (2, batch))
    rows = np.arange(batch)
    ids[first, rows], ids[second, rows] = symbols
    return _one_hot(ids, 2 + NOISE), (2 * symbols[0] + symbols[1])[None]


def copy(rng: np.random.Generator, lag: int, batch: int) -> tuple[Array, Array]:
    """10 symbols out of 8, blanks, a signal; then the 10 symbols are to be given back, each `lag` steps after it came.

    With lags below 11 there are no blanks left, and the lag is 11.
    """
    blank, signal = ALPHABET, ALPHABET + 1
    targets = rng.integers(0, ALPHABET, (COPIED, batch))
    ids = np.full((max(lag, COPIED + 1) + COPIED, batch), blank)
    ids[:COPIED] = targets
    ids[-COPIED - 1] = signal
    return _one_hot(ids, ALPHABET + 2), targets


def _two_places(rng: np.random.Generator, lag: int, batch: int) -> tuple[Array, Array, int]:
    """Where two things stand, (batch,) each, and the number of steps: at least `lag` lie after the first place."""
    early = max(1, lag // 10)
    steps = lag + early
    return rng.integers(0, early, batch), rng.integers(early, max(early + 1, steps // 2), batch), steps


def _one_hot(ids: Array, size: int) -> Array:
    return np.eye(size, dtype=np.float32)[ids]


def _classes(name: str, inputs: int, classes: int, answers: int, draw: Any) -> Task:
    wrong = 1 - 1 / classes  # both for a constant answer and for a random one
    return Task(name, inputs, classes, answers, wrong, wrong, draw)


TASKS = {
    task.name: task
    for task in (
        first_symbol_of(KEYS),
        # The sum of two uniform numbers has variance 1/6; two such sums differ by twice that.
        Task("adding", 2, 0, 1, 1 / 6, 1 / 3, adding),
        _classes("temporal order", 2 + NOISE, 4, 1, temporal_order),
        _classes("copy", ALPHABET + 2, ALPHABET, COPIED, copy),
    )
}
