"""For tests of recurrent layers, ours or anybody's: Hypothesis strategies, and properties of every right one.

The properties take a pair of functions in the form that courses use,

    forward(x, h0, *weights) -> h, cache          x (N, T, D), h0 (N, H), h (N, T, H)
    backward(dh, cache) -> dx, dh0, *dweights

and raise AssertionError if the property doesn't hold. They know no derivative; each catches what the others don't.
Hypothesis is loaded when a strategy is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
BLOCKS = {"rnn": 1, "lstm": 4, "gru": 3}


@dataclass(frozen=True)
class Configuration:
    """A cell and its sizes, pairwise distinct so that no transpose hides, and the seed of all values."""

    cell: str
    N: int
    T: int
    D: int
    H: int
    seed: int

    @property
    def K(self) -> int:
        """The width of all gates' blocks."""
        return BLOCKS[self.cell] * self.H

    def rng(self, purpose: int = 0) -> np.random.Generator:
        """A generator of its own for each purpose."""
        return np.random.default_rng([self.seed, purpose])


def configurations(cells: Sequence[str] = tuple(BLOCKS), largest: int = 6) -> SearchStrategy[Configuration]:
    """Cells and pairwise distinct sizes from 1 to `largest` (at least 4)."""
    from hypothesis import strategies as st

    sizes = st.permutations(range(1, largest + 1)).map(lambda order: order[:4])
    seeds = st.integers(0, 2**32 - 1)
    make = lambda cell, s, seed: Configuration(cell, s[0], s[1], s[2], s[3], seed)
    return st.builds(make, st.sampled_from(cells), sizes, seeds)


def parameters(c: Configuration, dtype: Any = np.float64) -> list[Array]:
    """Wx (D, K), Wh (H, K) and the biases (K,): one, for the GRU two."""
    rng = c.rng(1)
    shapes = [(c.D, c.K), (c.H, c.K), *[(c.K,)] * (2 if c.cell == "gru" else 1)]
    return [(rng.standard_normal(shape) / np.sqrt(max(shape[0], 1))).astype(dtype) for shape in shapes]


def sequences(c: Configuration, dtype: Any = np.float64) -> tuple[Array, Array]:
    """x (N, T, D) and h0 (N, H). Drawn by NumPy: Hypothesis' own arrays repeat one value, which hides permutations."""
    rng = c.rng(2)
    return rng.standard_normal((c.N, c.T, c.D)).astype(dtype), rng.standard_normal((c.N, c.H)).astype(dtype)


def lengths(c: Configuration) -> SearchStrategy[Array]:
    """A length from 1 to T for each of the N sequences."""
    from hypothesis import strategies as st

    return st.lists(st.integers(1, c.T), min_size=c.N, max_size=c.N).map(np.array)


def upstreams(c: Configuration, dtype: Any = np.float64) -> Array:
    """A gradient into h (N, T, H): never all ones, which hides permutations."""
    return c.rng(3).standard_normal((c.N, c.T, c.H)).astype(dtype)


def _near(a: Any, b: Any, what: str) -> None:
    """Equal up to rounding: eps times a few hundred operations, relative to the largest entry."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    eps = max(float(np.finfo(v.dtype).eps) for v in (a, b))
    scale = max(float(np.max(np.abs(b), initial=0.0)), 1e-3)
    error = float(np.max(np.abs(a - b), initial=0.0))
    assert error <= 512 * eps * scale, f"{what}: off by {error:.3g} where the largest entry is {scale:.3g}"


def assert_linear_in_upstream(forward: Forward, backward: Backward, inputs: Sequence[Array], seed: int = 0) -> None:
    """backward(2 u - 3 v) = 2 backward(u) - 3 backward(v)."""
    rng = np.random.default_rng(seed)
    h, _ = forward(*inputs)
    u, v = (rng.standard_normal(h.shape).astype(h.dtype) for _ in range(2))
    one, two, both = (backward(w, forward(*inputs)[1]) for w in (u, v, 2 * u - 3 * v))
    for k, (a, b, c) in enumerate(zip(one, two, both, strict=True)):
        _near(c, 2 * np.asarray(a) - 3 * np.asarray(b), f"result {k} of backward isn't linear in the upstream")


def assert_batch_rows_are_independent(
    forward: Forward, backward: Backward, inputs: Sequence[Array], dh: Array, seed: int = 0
) -> None:
    """Permuted samples give permuted h, dx and dh0, and the weights' gradients are sums over the samples."""
    x, h0, *weights = inputs
    order = np.random.default_rng(seed).permutation(len(x))
    h, cache = forward(x, h0, *weights)
    results = backward(dh.copy(), cache)
    h_p, cache = forward(x[order], h0[order], *weights)
    permuted = backward(dh[order], cache)
    _near(h_p, h[order], "h of permuted samples")
    for k in (0, 1):
        _near(permuted[k], np.asarray(results[k])[order], f"result {k} of backward for permuted samples")
    alone = [backward(dh[n : n + 1], forward(x[n : n + 1], h0[n : n + 1], *weights)[1]) for n in range(len(x))]
    for k in range(2, len(results)):
        total = np.sum([np.asarray(one[k]) for one in alone], axis=0, dtype=h.dtype)
        _near(results[k], total, f"result {k} of backward isn't the sum over the samples")


def assert_hidden_units_permute(
    forward: Forward, backward: Backward, inputs: Sequence[Array], dh: Array, seed: int = 0
) -> None:
    """Hidden units in another order, with the weights to match, give the same numbers in that order."""
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
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        _near(a, b, f"result {k} of backward with permuted units")


def assert_the_past_ignores_the_future(forward: Forward, inputs: Sequence[Array], seed: int = 0) -> None:
    """Changing x at the last step changes no h before it."""
    x, *rest = inputs
    other = x.copy()
    other[:, -1] = np.random.default_rng(seed).standard_normal(x[:, -1].shape)
    _near(forward(other, *rest)[0][:, :-1], forward(x, *rest)[0][:, :-1], "h before the step that changed")


def assert_steps_compose(forward: Forward, backward: Backward, inputs: Sequence[Array], dh: Array) -> None:
    """A sequence is its first part, then its second from where the first ended; so are the gradients.

    For cells whose whole state is h (RNN, GRU).
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
    for k in range(2, len(whole)):
        _near(np.asarray(early[k]) + np.asarray(late[k]), whole[k], f"result {k} of backward of the two parts")
