"""Gradient checks as they are commonly written, to compare their verdicts on the same mistakes. True means "right"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn_kernels.cell import CELLS

N, T, D, H = 2, 3, 4, 5

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]


def arguments(cell: str, seed: int = 0, c0: bool = False) -> list[Array]:
    rng = np.random.default_rng(seed)
    shapes = [shape[::-1] for shape in CELLS[cell].shapes(D, H).values()]
    return [0.5 * rng.standard_normal(s) for s in [(N, T, D), (N, H), *shapes]]


def numerical(forward: Function, given: Sequence[Array], k: int, upstream: Array, h: float) -> Array:
    """Return the central difference with step h for every entry of argument k."""
    gradient = np.zeros_like(given[k])
    for index in np.ndindex(gradient.shape):
        values = []
        for sign in (1, -1):
            moved = [v.copy() for v in given]
            moved[k][index] += sign * h
            values.append(np.sum(forward(*moved)[0] * upstream))
        gradient[index] = (values[0] - values[1]) / (2 * h)
    return gradient


def _analytic(forward: Function, backward: Function, given: Sequence[Array], upstream: Array) -> Sequence[Array]:
    _, cache = forward(*[v.copy() for v in given])
    return backward(upstream.copy(), cache)


def pytorch_style(forward: Function, backward: Function, cell: str) -> bool:
    """Compare every gradient with `np.allclose`, for an upstream gradient of ones."""
    given = arguments(cell)
    ones = np.ones((N, T, H))
    results = _analytic(forward, backward, given, ones)
    return all(
        np.allclose(g, numerical(forward, given, k, ones, 1e-6), rtol=1e-3, atol=1e-5) for k, g in enumerate(results)
    )


def cs231n_style(forward: Function, backward: Function, cell: str) -> bool:
    """Compare the largest relative error of an entry with a threshold, for a random upstream gradient."""
    given = arguments(cell)
    upstream = np.random.default_rng(1).standard_normal((N, T, H))
    results = _analytic(forward, backward, given, upstream)
    worst = 0.0
    for k, g in enumerate(results):
        num = numerical(forward, given, k, upstream, 1e-5)
        worst = max(worst, np.max(np.abs(g - num) / np.maximum(1e-8, np.abs(g) + np.abs(num))))
    return bool(worst < 1e-6)


def inner_product(forward: Function, backward: Function, cell: str) -> bool:
    """Compare both sides of <v, J^T w> = <J v, w> for one random v and w."""
    given = arguments(cell)
    rng = np.random.default_rng(1)
    w = rng.standard_normal((N, T, H))
    v = [rng.standard_normal(x.shape) for x in given]
    results = _analytic(forward, backward, given, w)
    eps = 1e-6
    ends = [forward(*[x + s * eps * d for x, d in zip(given, v, strict=True)])[0] for s in (0.5, -0.5)]
    right = np.sum(w * (ends[0] - ends[1])) / eps
    left = sum(np.sum(g * d) for g, d in zip(results, v, strict=True))
    return bool(abs(left - right) < 1e-5 * max(abs(left), abs(right)))


def one_norm(forward: Function, backward: Function, cell: str) -> bool:
    """Compare all parameters' gradients as one long vector, as in many courses. Ignore dx and dh0."""
    given = arguments(cell)
    upstream = np.random.default_rng(1).standard_normal((N, T, H))
    results = _analytic(forward, backward, given, upstream)
    an = np.concatenate([np.ravel(g) for g in results[2:]])
    num = np.concatenate([numerical(forward, given, k, upstream, 1e-5).ravel() for k in range(2, len(given))])
    return bool(np.linalg.norm(an - num) / (np.linalg.norm(an) + np.linalg.norm(num)) < 1e-5)
