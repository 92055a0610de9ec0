"""Random arguments for the cases of operations/cases.py: shapes of distinct lengths that broadcast, axes, values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st


def _shapes(ndim: int) -> list[tuple[int, ...]]:
    """Return shapes of distinct lengths in any order, then the same shapes with one axis of length 1."""
    plain = list(itertools.permutations((2, 3, 4), ndim))
    return plain + [(*s[:i], 1, *s[i + 1 :]) for s in plain for i in range(ndim)]


SHAPES = {n: list(dict.fromkeys(_shapes(n))) for n in range(4)}
EMPTY = [(0,), (0, 3), (2, 0), (2, 0, 3)]


class Draw:
    """Shapes, axes and values for a case. `pick` chooses from a list: with Hypothesis, or with a seeded generator."""

    def __init__(self, pick: Callable[[Sequence[Any]], Any], rng: np.random.Generator, dtype: Any = np.float64) -> None:
        self.pick, self.rng, self.dtype = pick, rng, dtype
        self.constant: Callable[[Any], Any] = lambda array: array  # converts arrays that are not differentiated

    @classmethod
    def hypothesis(cls, data: st.DataObject, dtype: Any = np.float64) -> Draw:
        pick = lambda options: data.draw(st.sampled_from(options))
        return cls(pick, np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed")), dtype)

    @classmethod
    def seeded(cls, seed: int) -> Draw:
        rng = np.random.default_rng(seed)
        return cls(lambda options: options[rng.integers(len(options))], rng)

    # -- shapes

    def shape(self, low: int = 0, high: int = 3, empty: bool = True) -> tuple[int, ...]:
        options = [s for n in range(low, high + 1) for s in SHAPES[n]]
        return self.pick(options + [s for s in EMPTY if empty and low <= len(s) <= high])

    def part(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape that broadcasts to `shape`: leading axes are missing, others have length 1."""
        missing = self.pick(range(len(shape) + 1)) if self.pick((False, True)) else 0
        return tuple(1 if self.pick((False, False, True)) else n for n in shape[missing:])

    def parts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        shape = self.shape()
        return self.pick([(shape, self.part(shape)), (self.part(shape), shape), (self.part(shape), self.part(shape))])

    def axis(self, ndim: int) -> int:
        return self.pick(range(-ndim, ndim))

    def axes(self, ndim: int) -> Any:
        """Return None, one axis, or several axes."""
        several = list(itertools.permutations(range(ndim), 2)) + [(-1, 0)] * (ndim > 1) + [()]
        return self.pick([None, *range(-ndim, ndim), *several])

    # -- values

    def normal(self, *shape: int) -> Any:
        return np.asarray(self.rng.normal(size=shape), self.dtype)

    def positive(self, *shape: int) -> Any:
        return np.asarray(self.rng.uniform(0.5, 2.0, shape), self.dtype)

    def nonzero(self, *shape: int) -> Any:
        return np.where(self.rng.random(shape) < 0.5, self.dtype(1), -1) * self.positive(*shape)

    def distinct(self, *shapes: tuple[int, ...]) -> list[Any]:
        """Return arrays of these shapes. Values are at least 0.1 apart and 0.05 from 0, to avoid ties within a step."""
        sizes = [int(np.prod(s)) for s in shapes]
        values = ((self.rng.permutation(sum(sizes)) - sum(sizes) // 2 + 0.5) * 0.1).astype(self.dtype)
        cuts = np.cumsum([0, *sizes])
        return [values[a:b].reshape(s) for a, b, s in zip(cuts[:-1], cuts[1:], shapes, strict=True)]
