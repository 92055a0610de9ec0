"""Gradient clipping, by norm and by value.

`clip_grad_norm_` scales all gradients by one factor so that their common norm is at most `max_norm`: the direction of
the step does not change. `clip_grad_value_` limits each entry to ±value separately: the direction changes. "Clip at 5"
means the first in most papers and courses, and the second in min-char-rnn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from minirnn.autograd import Array, Tensor, devices
from minirnn.optim.optimizers import tensors


def clip_grad_norm_(params: Iterable[Tensor] | Tensor, max_norm: float, error_if_nonfinite: bool = False) -> float:
    """Scale all gradients by max_norm/(norm + 1e-6) if their common norm exceeds max_norm. Return the norm.

    The norm is the one before clipping, and 0.0 without gradients. If it is nan, every gradient becomes nan; if it is
    inf, finite entries become 0 and infinite ones nan. With `error_if_nonfinite`, a norm of nan or inf raises a
    FloatingPointError, and no gradient changes. `max_norm` may be inf: finite gradients then do not change. On a GPU,
    only the squared norms are copied to the host, as one short array, unless one of them is 0 or out of range. Source:
    Pascanu, Mikolov and Bengio 2013, section 3.2.
    """
    if not max_norm >= 0:
        raise ValueError(f"max_norm: expected a number >= 0, got {max_norm}")
    grads = _gradients(params)
    norms = _norms(grads)
    norm = math.nan if any(map(math.isnan, norms)) else math.hypot(*norms)
    if error_if_nonfinite and not math.isfinite(norm):
        raise FloatingPointError(f"the norm of the gradients is {norm}; they were not clipped")
    scale = max_norm / (norm + 1e-6)
    if not scale >= 1.0:
        with np.errstate(invalid="ignore"):  # inf * 0
            for g in grads:
                g *= scale
    return norm


def clip_grad_value_(params: Iterable[Tensor] | Tensor, value: float) -> None:
    """Limit each entry of each gradient to ±value. nan stays nan."""
    if not value >= 0:
        raise ValueError(f"value: expected a number >= 0, got {value}")
    for g in _gradients(params):
        np.clip(g, -value, value, out=g)


def _gradients(params: Iterable[Tensor] | Tensor) -> list[Array]:
    """Return the gradients of the parameters that have one. A parameter that appears twice counts once."""
    listed = [params] if isinstance(params, Tensor) else tensors(params)
    return [p.grad for p in dict.fromkeys(listed) if p.grad is not None]


def _norms(grads: list[Array]) -> list[float]:
    """Return the norm of each gradient; where the squares leave the range of the dtype, the values are scaled first."""
    flat = [g.reshape(-1) for g in grads]
    with np.errstate(over="ignore"):
        squares = devices.host(np.stack([np.dot(g, g) for g in flat])).tolist() if flat else []
    return [
        math.sqrt(square) if 1e-20 < square < 1e30 else _scaled_norm(g) for g, square in zip(flat, squares, strict=True)
    ]


def _scaled_norm(flat: Array) -> float:
    """Return the norm of a vector, computed from values divided by the largest one."""
    top = float(np.abs(flat).max()) if flat.size else 0.0
    if top == 0.0 or not math.isfinite(top):
        return top
    scaled = flat / top
    return top * math.sqrt(float(np.dot(scaled, scaled)))
