"""One problem to be computed by everybody: its arguments, what it costs, and when two results agree.

training    forward and backward: the gradients of out, with respect to x, the initial states and all weights
forward     the forward of training, which keeps what its backward needs
inference   the forward alone, which keeps nothing
lengths     training, with lengths drawn from 1..T
step        T single steps from Python, nothing recorded (times are for one step)
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn.bench.sizes import Size

__all__ = ["GATES", "STATES", "Problem", "disagreement", "tolerance"]

Array = npt.NDArray[Any]

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
STATES = {"rnn": ("h",), "lstm": ("h", "c"), "gru": ("h",)}


@dataclass(frozen=True)
class Problem:
    """A cell, a size and a dtype; the arrays are drawn from the seed when they are first asked for."""

    what: str
    cell: str
    size: Size
    dtype: str = "float32"
    seed: int = 0

    @property
    def biases(self) -> tuple[str, ...]:
        return ("b_ih", "b_hh") if self.cell == "gru" else ("b",)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what has gradients, in the kernel contract's order."""
        return ("x", *(f"{s}0" for s in STATES[self.cell]), "W_ih", "W_hh", *self.biases)

    @property
    def trains(self) -> bool:
        return self.what in ("training", "lengths")

    @functools.cached_property
    def lengths(self) -> Array | None:
        """(B,) lengths, uniform in 1..T and at least one of them T; None unless that is what is measured."""
        if self.what != "lengths":
            return None
        drawn = np.random.default_rng(self.seed).integers(1, self.size.T + 1, self.size.B)
        drawn[0] = self.size.T
        return drawn

    @functools.cached_property
    def arrays(self) -> dict[str, Array]:
        """`inputs` and "dout", of order 1, weights uniform within 1/sqrt(H) as PyTorch's; zeros past each end."""
        s, rng = self.size, np.random.default_rng(self.seed)
        bound, K = s.H**-0.5, GATES[self.cell] * s.H
        made = {"x": rng.standard_normal((s.T, s.B, s.I)), "dout": rng.standard_normal((s.T, s.B, s.H))}
        made |= {f"{name}0": rng.uniform(-1, 1, (s.B, s.H)) for name in STATES[self.cell]}
        made |= {name: rng.uniform(-bound, bound, (K, n)) for name, n in (("W_ih", s.I), ("W_hh", s.H))}
        made |= {name: rng.uniform(-bound, bound, K) for name in self.biases}
        if self.lengths is not None:
            past = np.arange(s.T)[:, None] >= self.lengths
            made["x"][past] = made["dout"][past] = 0
        return {name: a.astype(self.dtype) for name, a in made.items()}

    @property
    def arguments(self) -> list[Array]:
        return [self.arrays[name] for name in self.inputs]

    @property
    def flop(self) -> int:
        """Additions and multiplications of the matrix products: 2 K (I + H) a row and step, three times in training."""
        s = self.size
        steps = s.B * s.T if self.lengths is None else int(self.lengths.sum())
        return 2 * GATES[self.cell] * s.H * (s.I + s.H) * steps * (3 if self.trains else 1)

    @property
    def bytes(self) -> int:
        """What has to cross the memory at least once: every argument read, every result written."""
        s, K = self.size, GATES[self.cell] * self.size.H
        weights = K * (s.I + s.H + len(self.biases))
        there = s.T * s.B * (s.I + s.H) + weights
        back = s.T * s.B * (s.I + s.H) + weights if self.trains else 0
        return int(np.dtype(self.dtype).itemsize) * (there + back)


def tolerance(problem: Problem) -> float:
    """The largest error that roundings explain, relative to a result's largest entry.

    A pre-activation is a sum of I + H + 1 terms, and the gates add some twenty roundings; T steps hand their errors on;
    a weight's gradient then sums T B terms. Roundings are as often up as down, so their sum grows with the square root
    of their number. Four of those: entries by the million, and two results that both have errors.
    """
    s = problem.size
    terms = s.T * (s.I + s.H + 21) + s.T * s.B
    return float(4 * np.finfo(problem.dtype).eps * np.sqrt(terms))


def disagreement(got: dict[str, Array], expected: dict[str, Array], allowed: float) -> tuple[float, str | None]:
    """The worst error relative to `allowed`, and what is wrong in words: None if every result in both agrees."""
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
