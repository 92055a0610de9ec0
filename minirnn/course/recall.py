"""A task that needs memory and little else, shared by experiments: say the last symbol that you saw."""

from __future__ import annotations

import numpy as np

__all__ = ["NOISE", "SYMBOLS", "TOKENS", "after_a_gap", "at_random"]

SYMBOLS = 4  # tokens 0 .. 3 are to be remembered
NOISE = 4  # tokens 4 .. 7 are not
TOKENS = SYMBOLS + NOISE


def at_random(rng: np.random.Generator, T: int, B: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Ids and targets (T, B): a symbol at step 0 and then at each step with probability `rate`, noise elsewhere.

    The target of each step is the last symbol up to it, so a symbol has to be kept for 1/rate steps on average.
    """
    marked = rng.random((T, B)) < rate
    marked[0] = True
    symbols = rng.integers(0, SYMBOLS, (T, B))
    ids = np.where(marked, symbols, rng.integers(SYMBOLS, TOKENS, (T, B)))
    last = np.maximum.accumulate(np.where(marked, np.arange(T)[:, None], 0))
    return ids, np.take_along_axis(ids, last, axis=0)


def after_a_gap(rng: np.random.Generator, T: int, B: int, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and targets (T, B): a symbol every gap + 1 steps, from a random one on; asked for `gap` steps after it.

    Targets of other steps are -100: they don't count.
    """
    phase = (np.arange(T)[:, None] - rng.integers(0, gap + 1, B)) % (gap + 1)
    symbols = rng.integers(0, SYMBOLS, (T, B))
    ids = np.where(phase == 0, symbols, rng.integers(SYMBOLS, TOKENS, (T, B)))
    asked = (phase == gap) & (np.arange(T)[:, None] >= gap)
    targets = np.full((T, B), -100)
    targets[asked] = ids[np.nonzero(asked)[0] - gap, np.nonzero(asked)[1]]
    return ids, targets
