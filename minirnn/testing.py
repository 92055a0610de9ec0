"""Tests for any recurrent layer: Hypothesis strategies, and properties that every correct layer has.

The properties take a pair of functions in the form that courses use,

    forward(x, h0, *weights) -> h, cache          x (N, T, D), h0 (N, H), h (N, T, H)
    backward(dh, cache) -> dx, dh0, *dweights

and raise AssertionError if the property does not hold. They compute no derivatives. Each property finds mistakes that
the others miss. Hypothesis is imported when a strategy is first requested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn_kernels.cell import CELLS

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "Configuration",
    "assert_batch_rows_are_independent",
    "assert_hidden_units_permute",
    "assert_linear_in_upstream",
    "assert_steps_compose",
    "assert_the_past_ignores_the_future",
    "configurations",
    "lengths",
    "parameters",
    "sequences",
    "upstreams",
]

Array = np.ndarray
Forward = Callable[..., tuple[Array, Any]]
Backward = Callable[[Array, Any], Sequence[Any]]


@dataclass(frozen=True)
class Configuration:
    """A cell, its sizes, and the seed of all values. Distinct sizes make every wrong transpose visible."""

    cell: str
    N: int
    T: int
    D: int
    H: int
    seed: int

    @property
    def K(self) -> int:
        """Return the width of the blocks of all gates together."""
        return len(CELLS[self.cell].gates) * self.H

    def rng(self, purpose: int = 0) -> np.random.Generator:
        """Return a separate generator for each purpose."""
        return np.random.default_rng([self.seed, purpose])


def configurations(cells: Sequence[str] = tuple(CELLS), largest: int = 6) -> SearchStrategy[Configuration]:
    """Return a strategy for cells with pairwise distinct sizes from 1 to `largest` (at least 4)."""
    from hypothesis import strategies as st

    def configuration(cell: str, order: Sequence[int], seed: int) -> Configuration:
        N, T, D, H = order[:4]
        return Configuration(cell, N, T, D, H, seed)

    orders = st.permutations(range(1, largest + 1))
    return st.builds(configuration, st.sampled_from(cells), orders, st.integers(0, 2**32 - 1))


def parameters(c: Configuration, dtype: Any = np.float64) -> list[Array]:
    """Return Wx (D, K), Wh (H, K) and the biases (K,) of the cell: one, or two for the GRU; then its other weights."""
    rng = c.rng(1)
    shapes = [shape[::-1] for shape in CELLS[c.cell].shapes(c.D, c.H).values()]
    return [(rng.standard_normal(shape) / np.sqrt(max(shape[0], 1))).astype(dtype) for shape in shapes]


def sequences(c: Configuration, dtype: Any = np.float64) -> tuple[Array, Array]:
    """Return x (N, T, D) and h0 (N, H), drawn by NumPy: Hypothesis's arrays repeat values, which hides permutations."""
    rng = c.rng(2)
    return rng.standard_normal((c.N, c.T, c.D)).astype(dtype), rng.standard_normal((c.N, c.H)).astype(dtype)


def lengths(c: Configuration) -> SearchStrategy[Array]:
    """Return a strategy for lengths: one from 1 to T for each of the N sequences."""
    from hypothesis import strategies as st

    return st.lists(st.integers(1, c.T), min_size=c.N, max_size=c.N).map(np.array)


def upstreams(c: Configuration, dtype: Any = np.float64) -> Array:
    """Return an upstream gradient of h, (N, T, H), with random values: all ones would hide permutations."""
    return c.rng(3).standard_normal((c.N, c.T, c.H)).astype(dtype)


def _near(a: Any, b: Any, what: str) -> None:
    """Assert that a equals b up to rounding: eps times a few hundred operations, relative to the largest entry."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    eps = max(float(np.finfo(v.dtype).eps) for v in (a, b))
    scale = max(float(np.max(np.abs(b), initial=0.0)), 1e-3)
    error = float(np.max(np.abs(a - b), initial=0.0))
    assert error <= 512 * eps * scale, f"{what}: off by {error:.3g}, and the largest entry is {scale:.3g}"


def _all_near(found: Sequence[Any], expected: Sequence[Any], what: str, first: int = 0) -> None:
    """Assert that a backward pass's results are near the expected ones; `first` is the number of the first result."""
    for k, (a, b) in enumerate(zip(found, expected, strict=True), first):
        _near(a, b, f"result {k} of backward {what}")


def assert_linear_in_upstream(forward: Forward, backward: Backward, inputs: Sequence[Array], seed: int = 0) -> None:
    """Assert backward(2 u - 3 v) = 2 backward(u) - 3 backward(v)."""
    rng = np.random.default_rng(seed)
    h, _ = forward(*inputs)
    u, v = (rng.standard_normal(h.shape).astype(h.dtype) for _ in range(2))
    one, two, both = (backward(w, forward(*inputs)[1]) for w in (u, v, 2 * u - 3 * v))
    expected = [2 * np.asarray(a) - 3 * np.asarray(b) for a, b in zip(one, two, strict=True)]
    _all_near(both, expected, "is not linear in the upstream gradient")


def assert_batch_rows_are_independent(
    forward: Forward, backward: Backward, inputs: Sequence[Array], dh: Array, seed: int = 0
) -> None:
    """Assert that permuted samples give permuted h, dx and dh0, and that weights' gradients are sums over samples."""
    x, h0, *weights = inputs
    order = np.random.default_rng(seed).permutation(len(x))
    h, cache = forward(x, h0, *weights)
    results = backward(dh.copy(), cache)
    h_p, cache = forward(x[order], h0[order], *weights)
    permuted = backward(dh[order], cache)
    _near(h_p, h[order], "h of permuted samples")
    _all_near(permuted[:2], [np.asarray(a)[order] for a in results[:2]], "for permuted samples")
    alone = [backward(dh[n : n + 1], forward(x[n : n + 1], h0[n : n + 1], *weights)[1]) for n in range(len(x))]
    totals = [np.sum([np.asarray(one[k]) for one in alone], axis=0, dtype=h.dtype) for k in range(2, len(results))]
    _all_near(results[2:], totals, "is not the sum over the samples", 2)


def assert_hidden_units_permute(
    forward: Forward, backward: Backward, inputs: Sequence[Array], dh: Array, seed: int = 0
) -> None:
    """Assert that permuted hidden units, with the weights permuted to match, give the same numbers permuted."""
    x, h0, Wx, Wh, *biases = inputs
    H = h0.shape[1]
    order = np.random.default_rng(seed).permutation(H)
    columns = np.concatenate([start + order for start in range(0, Wx.shape[1], H)])
    h, cache = forward(x, h0, Wx, Wh, *biases)
    dx, dh0, dWx, dWh, *db = backward(dh.copy(), cache)
    h_p, cache = forward(x, h0[:, order], Wx[:, columns], Wh[order][:, columns], *(b[columns] for b in biases))
    found = backward(dh[:, :, order], cache)
    _near(h_p, h[:, :, order], "h with permuted units")
    expected = [dx, dh0[:, order], dWx[:, columns], dWh[order][:, columns], *(b[columns] for b in db)]
    _all_near(found, expected, "with permuted units")


def assert_the_past_ignores_the_future(forward: Forward, inputs: Sequence[Array], seed: int = 0) -> None:
    """Assert that a change of x at the last step does not change h at earlier steps."""
    x, *rest = inputs
    other = x.copy()
    other[:, -1] = np.random.default_rng(seed).standard_normal(x[:, -1].shape)
    _near(forward(other, *rest)[0][:, :-1], forward(x, *rest)[0][:, :-1], "h before the changed step")


def assert_steps_compose(forward: Forward, backward: Backward, inputs: Sequence[Array], dh: Array) -> None:
    """Assert that a sequence equals its first part followed by its second part, and that the gradients do too.

    This holds for cells whose whole state is h (RNN, GRU).
    """
    x, h0, *weights = inputs
    cut = x.shape[1] // 2
    if not cut:
        return
    h, cache = forward(x, h0, *weights)
    whole = backward(dh.copy(), cache)
    first, cache_1 = forward(x[:, :cut], h0, *weights)
    second, cache_2 = forward(x[:, cut:], first[:, -1].copy(), *weights)
    _near(np.concatenate([first, second], axis=1), h, "h of the two parts")
    late = backward(dh[:, cut:].copy(), cache_2)
    into = dh[:, :cut].copy()
    into[:, -1] += late[1]
    early = backward(into, cache_1)
    _near(early[1], whole[1], "dh0 of the two parts")
    _near(np.concatenate([early[0], late[0]], axis=1), whole[0], "dx of the two parts")
    sums = [np.asarray(a) + np.asarray(b) for a, b in zip(early[2:], late[2:], strict=True)]
    _all_near(sums, whole[2:], "of the two parts", 2)
