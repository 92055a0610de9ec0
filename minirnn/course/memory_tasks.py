"""Generated tasks that only a network with memory can solve: their sequences, answers and errors.

Each task has a lag: at least `lag` steps lie between the first informative step and the answer. Every batch is newly
drawn, so a network cannot memorise the sequences. Errors are relative to the error of the best constant answer, which
ignores the sequence: 0 is perfect, and 1 means that nothing was remembered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn import Tensor, nn

__all__ = ["MEMORY_TASKS", "MemoryTask", "first_symbol_of"]

Array = np.ndarray[Any, Any]
KEYS = 8  # number of informative symbols in the first-symbol task
DISTRACTORS = 8  # number of other symbols
COPIED, ALPHABET = 10, 8  # the copy task: the number of symbols to copy, and of symbols to choose from


@dataclass(frozen=True)
class MemoryTask:
    """A task: `draw(rng, lag, batch)` makes inputs (T, batch, inputs) and targets (answers, batch).

    The answers are read at the last `answers` of the T steps. `classes` is 0 if the answer is a number. `nothing` and
    `chance` are the errors of the best constant answer and of a random answer: the share of wrong answers, or the mean
    squared error.
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
        """Return the training loss of scores (answers, batch, outputs): cross-entropy, or mean squared error."""
        if self.classes:
            return nn.cross_entropy(scores.reshape(-1, self.classes), targets.reshape(-1))
        return nn.mse_loss(scores[..., 0], targets)

    def error(self, scores: Array, targets: Array) -> float:
        """Return the share of wrong answers, or the mean squared error, divided by that of the best constant answer."""
        wrong = scores.argmax(-1) != targets if self.classes else (scores[..., 0] - targets) ** 2
        return float(wrong.mean()) / self.nothing


def first_symbol_of(keys: int) -> MemoryTask:
    """Return the task of naming the first symbol, one of `keys`, after `lag` other symbols."""

    def draw(rng: np.random.Generator, lag: int, batch: int) -> tuple[Array, Array]:
        ids = rng.integers(keys, keys + DISTRACTORS, (lag + 1, batch))
        ids[0] = rng.integers(0, keys, batch)
        return _one_hot(ids, keys + DISTRACTORS), ids[:1]

    return _classes("first symbol", keys + DISTRACTORS, keys, 1, draw)


def adding(rng: np.random.Generator, lag: int, batch: int) -> tuple[Array, Array]:
    """Draw numbers in [0, 1), two of them marked; the answer is the sum of the marked numbers.

    The first mark is within the first tenth of the sequence, the second after that tenth and in the first half.
    """
    first, second, steps = _two_places(rng, lag, batch)
    x = np.zeros((steps, batch, 2), np.float32)
    x[..., 0] = rng.random((steps, batch))
    rows = np.arange(batch)
    x[first, rows, 1] = x[second, rows, 1] = 1
    return x, (x[first, rows, 0] + x[second, rows, 0])[None]


def temporal_order(rng: np.random.Generator, lag: int, batch: int) -> tuple[Array, Array]:
    """Draw noise with X or Y at the two places that the adding task marks; the answer is XX, XY, YX or YY."""
    first, second, steps = _two_places(rng, lag, batch)
    ids = rng.integers(2, 2 + DISTRACTORS, (steps, batch))
    symbols = rng.integers(0, 2, (2, batch))
    rows = np.arange(batch)
    ids[first, rows], ids[second, rows] = symbols
    return _one_hot(ids, 2 + DISTRACTORS), (2 * symbols[0] + symbols[1])[None]


def copy(rng: np.random.Generator, lag: int, batch: int) -> tuple[Array, Array]:
    """Draw 10 symbols of 8 kinds, blanks and a signal; the answer is the 10 symbols, each `lag` steps after its input.

    A lag below 11 leaves no room for blanks and is raised to 11.
    """
    blank, signal = ALPHABET, ALPHABET + 1
    targets = rng.integers(0, ALPHABET, (COPIED, batch))
    ids = np.full((max(lag, COPIED + 1) + COPIED, batch), blank)
    ids[:COPIED] = targets
    ids[-COPIED - 1] = signal
    return _one_hot(ids, ALPHABET + 2), targets


def _two_places(rng: np.random.Generator, lag: int, batch: int) -> tuple[Array, Array, int]:
    """Draw two steps, (batch,) each, and return them with the number of steps: `lag` or more follow the first one."""
    early = max(1, lag // 10)
    steps = lag + early
    return rng.integers(0, early, batch), rng.integers(early, max(early + 1, steps // 2), batch), steps


def _one_hot(ids: Array, size: int) -> Array:
    return np.eye(size, dtype=np.float32)[ids]


def _classes(name: str, inputs: int, classes: int, answers: int, draw: Any) -> MemoryTask:
    wrong = 1 - 1 / classes  # for a constant answer and for a random one
    return MemoryTask(name, inputs, classes, answers, wrong, wrong, draw)


MEMORY_TASKS = {
    task.name: task
    for task in (
        first_symbol_of(KEYS),
        # The sum of two uniform numbers has variance 1/6; the difference of two such sums has twice that.
        MemoryTask("adding", 2, 0, 1, 1 / 6, 1 / 3, adding),
        _classes("temporal order", 2 + DISTRACTORS, 4, 1, temporal_order),
        _classes("copy", ALPHABET + 2, ALPHABET, COPIED, copy),
    )
}
