"""One problem that every contender computes: its arguments, its cost, and a criterion for equal results.

training    forward and backward: the gradients of out with respect to x, the initial states and all weights
forward     the forward pass of training, which keeps a cache for the backward pass
inference   the forward pass without a cache
lengths     training, with lengths drawn from 1..T
step        T single steps from Python, without recording gradients (times are for one step)
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn.bench.sizes import Size
from minirnn_kernels.cell import CELLS, Cell

__all__ = ["Problem", "disagreement", "tolerance"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Problem:
    """A cell, a size and a dtype. The arrays are drawn from the seed at their first use."""

    what: str
    cell: str
    size: Size
    dtype: str = "float32"
    seed: int = 0

    @property
    def spec(self) -> Cell:
        """The gates, states, biases, arguments and results of the cell."""
        return CELLS[self.cell]

    @property
    def gradients(self) -> list[str]:
        """The names of the gradients that a backward pass returns, in order."""
        return [f"d{name}" for name in self.spec.inputs]

    @property
    def trains(self) -> bool:
        return self.what in ("training", "lengths")

    @functools.cached_property
    def lengths(self) -> Array | None:
        """(B,) lengths, uniform in 1..T with at least one of them T; None unless lengths are measured."""
        if self.what != "lengths":
            return None
        drawn = np.random.default_rng(self.seed).integers(1, self.size.T + 1, self.size.B)
        drawn[0] = self.size.T
        return drawn

    @functools.cached_property
    def arrays(self) -> dict[str, Array]:
        """The inputs and "dout" of order 1, weights uniform within 1/sqrt(H) as in PyTorch; zeros past each end."""
        s, rng = self.size, np.random.default_rng(self.seed)
        bound = s.H**-0.5
        made = {"x": rng.standard_normal((s.T, s.B, s.I)), "dout": rng.standard_normal((s.T, s.B, s.H))}
        made |= {f"{name}0": rng.uniform(-1, 1, (s.B, s.H)) for name in self.spec.states}
        made |= {name: rng.uniform(-bound, bound, shape) for name, shape in self.spec.shapes(s.I, s.H).items()}
        if self.lengths is not None:
            past = np.arange(s.T)[:, None] >= self.lengths
            made["x"][past] = made["dout"][past] = 0
        return {name: a.astype(self.dtype) for name, a in made.items()}

    @property
    def arguments(self) -> list[Array]:
        return [self.arrays[name] for name in self.spec.inputs]

    @property
    def pytorch_biases(self) -> tuple[Array, Array]:
        """Return b_ih and b_hh in PyTorch's form; b_hh is zero if the cell takes one bias."""
        b_ih = self.arrays[self.spec.biases[0]]
        return b_ih, self.arrays[self.spec.biases[1]] if self.spec.two_biases else np.zeros_like(b_ih)

    @property
    def flop(self) -> int:
        """Additions and multiplications of the products: 2 K (I + H) per row and step; in training three times that.

        K (I + H) is the number of entries of W_ih and W_hh.
        """
        s = self.size
        steps = s.B * s.T if self.lengths is None else int(self.lengths.sum())
        K, _ = self.spec.shapes(s.I, s.H)["W_hh"]
        return 2 * K * (s.I + s.H) * steps * (3 if self.trains else 1)

    @property
    def bytes(self) -> int:
        """The minimum memory traffic: every argument is read once and every result is written once."""
        s = self.size
        words = s.T * s.B * (s.I + s.H) + sum(map(math.prod, self.spec.shapes(s.I, s.H).values()))
        return int(np.dtype(self.dtype).itemsize) * words * (2 if self.trains else 1)


def tolerance(problem: Problem) -> float:
    """Return the largest error that roundings explain, relative to the largest entry of a result.

    A pre-activation is a sum of I + H + 1 terms, and the gates add some twenty roundings; errors propagate through T
    steps; the gradient of a weight then sums T B terms. Roundings go up as often as down, so their sum grows with the
    square root of their number. The factor of four allows for millions of entries and for errors in both results.
    """
    s = problem.size
    terms = s.T * (s.I + s.H + 21) + s.T * s.B
    return float(4 * np.finfo(problem.dtype).eps * np.sqrt(terms))


def disagreement(got: dict[str, Array], expected: dict[str, Array], allowed: float) -> tuple[float, str | None]:
    """Return the worst error relative to `allowed`, and a description of it, which is None if all results agree.

    Only results with a name in both dicts are compared.
    """
    worst, words = 0.0, None
    for name in expected.keys() & got.keys():
        a, b = np.asarray(got[name]), np.asarray(expected[name])
        if a.shape != b.shape:
            return np.inf, f"{name} has shape {a.shape}, expected {b.shape}"
        if a.size == 0:
            continue
        error = np.abs(a.astype(np.float64) - b)
        scale = max(float(np.abs(b).max()), float(np.finfo(a.dtype).tiny))
        at = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
        share = float(error[at]) / (allowed * scale)
        if not share <= 1 and not worst > share:
            place = ", ".join(str(int(k)) for k in at)
            words = (
                f"{name}[{place}] is {a[at]:.7g}, expected {b[at]:.7g}: "
                f"error {error[at]:.2g}, allowed {allowed * scale:.2g}"
            )
        worst = max(worst, np.inf if np.isnan(share) else share)
    return worst, words
