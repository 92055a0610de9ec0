"""A task that needs memory and little else: repeat the last symbol seen, with noise after it."""

from __future__ import annotations

import numpy as np

__all__ = ["CHANCE", "HALFWAY", "NOISE", "SYMBOLS", "TOKENS", "after_a_gap", "at_random"]

SYMBOLS = 4  # tokens 0 .. 3: the network has to remember these
NOISE = 4  # tokens 4 .. 7: the network can ignore these
TOKENS = SYMBOLS + NOISE
CHANCE = 1 / SYMBOLS  # the accuracy of a guess among the symbols
HALFWAY = (1 + CHANCE) / 2  # the accuracy halfway between a guess and a perfect memory


def at_random(rng: np.random.Generator, T: int, B: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and targets (T, B): a symbol at step 0 and at each later step with probability `rate`, else noise.

    The target of a step is the last symbol up to that step, so a symbol has to be kept for 1/rate steps on average.
    """
    marked = rng.random((T, B)) < rate
    marked[0] = True
    symbols = rng.integers(0, SYMBOLS, (T, B))
    ids = np.where(marked, symbols, rng.integers(SYMBOLS, TOKENS, (T, B)))
    last = np.maximum.accumulate(np.where(marked, np.arange(T)[:, None], 0))
    return ids, np.take_along_axis(ids, last, axis=0)


def after_a_gap(rng: np.random.Generator, T: int, B: int, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and targets (T, B): a symbol every gap + 1 steps, which is the target `gap` steps later.

    The first symbol of each sequence is at a random step. The other steps have the target -100, which the loss ignores.
    """
    phase = (np.arange(T)[:, None] - rng.integers(0, gap + 1, B)) % (gap + 1)
    symbols = rng.integers(0, SYMBOLS, (T, B))
    ids = np.where(phase == 0, symbols, rng.integers(SYMBOLS, TOKENS, (T, B)))
    t, b = np.nonzero((phase == gap) & (np.arange(T)[:, None] >= gap))
    targets = np.full((T, B), -100)
    targets[t, b] = ids[t - gap, b]
    return ids, targets
