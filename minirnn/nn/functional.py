"""Losses and activations as functions. Arguments are Tensors or arrays; the losses are Tensors.

Names, defaults and shapes are PyTorch's, except that `axis` has NumPy's name. Losses are in nats.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minirnn.autograd import Tensor, apply_fused, devices, plain
from minirnn.autograd.ops import log_softmax, relu, sigmoid, softmax
from minirnn.nn import init

__all__ = ["cross_entropy", "dropout", "log_softmax", "mse_loss", "relu", "sigmoid", "softmax"]

Array = Any


def dropout(
    x: Array, p: float = 0.5, training: bool = True, rng: np.random.Generator | None = None, *, locked: bool = False
) -> Array:
    """Set each element to 0 with probability p and scale the others by 1/(1-p), which preserves the mean.

    With `locked`, x (T, ...) is a sequence and all of its steps share one mask.

    Returns x itself if `training` is False. Draws one uniform number per element of the mask, in x's dtype, from `rng`
    or from the generator that `minirnn.manual_seed` seeds. The numbers are drawn on the host, so that one seed gives
    the same mask on every device. For an x on a GPU the mask is then copied there, one byte per element.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p: expected a probability in [0, 1], got {p}")
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"x: expected float32 or float64, got {x.dtype}")
    if not training or p == 0.0:
        return x
    shape = (1, *x.shape[1:]) if locked else x.shape
    kept = devices.like(init.chosen_generator(rng).random(shape, dtype=x.dtype) >= p, plain(x))
    return x * (kept * x.dtype.type(1.0 / (1.0 - p) if p < 1.0 else 0.0))


def cross_entropy(logits: Array, targets: Array, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """Return -log of the probability that softmax(logits) gives to the target class.

    logits: (N, C) or (N, C, d1, …) with the classes along axis 1, or (C,). targets: integers in 0..C-1 of the same
    shape without C. Rows whose target is `ignore_index` do not count. "mean" divides by the number of the other rows
    (NaN if there are none), "sum" adds them up, and "none" returns (N, d1, …) with 0 for ignored rows. The targets can
    be on the host when the logits are on a GPU: they are checked there and then moved.

    Raises TypeError for targets that are not integers, ValueError for shapes that do not match, and IndexError for
    targets out of range.
    """
    x: Any = logits if isinstance(logits, Tensor) else Tensor(logits)
    if x.ndim == 0 or x.dtype.kind != "f" or x.shape[x.ndim > 1] == 0:
        raise ValueError(f"logits: expected floats of shape (N, C, …) or (C,), got {x.dtype} {x.shape}")
    classes = x.shape[x.ndim > 1]
    t = as_ids("targets", targets)
    expected = (*x.shape[:1], *x.shape[2:]) if x.ndim > 1 else ()
    if t.shape != expected:
        raise ValueError(f"targets: expected shape {expected} for logits of shape {x.shape}, got {t.shape}")
    check_ids("targets", t, classes, "classes", ignore_index)
    rows = np.moveaxis(x, 1, -1) if x.ndim > 2 else x
    kept = t.ravel() != ignore_index
    rows = rows.reshape(t.size, classes)
    fused = _CrossEntropy(rows.data, devices.like(np.where(kept, t.ravel(), 0), rows.data))
    losses: Any = apply_fused(fused, [rows], [fused.losses])[0]
    if not kept.all():
        losses = np.where(devices.like(kept, rows.data), losses, 0.0)
    return _reduced(losses, t.shape, int(kept.sum()), reduction)


def mse_loss(input: Array, target: Array, reduction: str = "mean") -> Tensor:
    """Return (input - target)², averaged ("mean"), added up ("sum") or per element ("none").

    Raises ValueError if the shapes differ.
    """
    if np.shape(input) != np.shape(target):
        raise ValueError(f"target: expected the input's shape {np.shape(input)}, got {np.shape(target)}")
    difference = (input if isinstance(input, Tensor) else Tensor(input)) - target
    return _reduced(difference * difference, difference.shape, difference.size, reduction)


def _reduced(losses: Tensor, shape: tuple[int, ...], count: int, reduction: str) -> Tensor:
    if reduction == "mean":
        return losses.sum() * (1.0 / count if count else math.nan)
    if reduction == "sum":
        return losses.sum()
    if reduction == "none":
        return losses.reshape(shape)
    raise ValueError(f'reduction: expected "mean", "sum" or "none", got {reduction!r}')


class _CrossEntropy:
    """The losses log Σ_j exp(x_j) - x_target of all rows, as one node: x (R, C), targets (R,) -> losses (R,).

    The exponentials are computed once: dx = (softmax(x) - onehot(target)) · dloss, and the rows of dx sum to 0.
    """

    name = "cross_entropy"

    def __init__(self, x: Array, targets: Array) -> None:
        self.at = (np.arange(len(targets), like=targets), targets)
        shifted = x - x.max(axis=1, keepdims=True)
        picked = shifted[self.at]
        self.exponentials = np.exp(shifted, out=shifted)
        self.total = self.exponentials.sum(axis=1)
        self.losses = np.log(self.total) - picked

    def backward(self, grads: list[Any], *, keep: bool) -> tuple[Array]:
        (dloss,) = grads
        dx = self.exponentials.copy() if keep else self.exponentials
        dx *= (dloss / self.total)[:, None]
        dx[self.at] -= dloss
        return (dx,)

    def composed(self, x: Tensor) -> tuple[Tensor]:
        return (-log_softmax(x, axis=1)[self.at],)


def as_ids(name: str, ids: Array) -> Array:
    """Return the ids as an array of integers on their device. Raise TypeError if they are not integers."""
    ids = plain(ids)
    if devices.device_of(ids) == "cpu":
        ids = np.asarray(ids)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got {ids.dtype} of shape {ids.shape}")
    return ids.astype(np.int64) if ids.dtype.kind == "u" else ids


def check_ids(name: str, ids: Array, size: int, what: str, ignored: int | None = None) -> None:
    """Raise IndexError for the first id that is not in 0..size-1, unless it is `ignored`."""
    bad = (ids < 0) | (ids >= size)
    if ignored is not None:
        bad &= ids != ignored
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise IndexError(f"{name}: {int(ids[at])} at index {at} is out of range for {size} {what} (0..{size - 1})")
