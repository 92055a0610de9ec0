"""Layers other than recurrent ones: Linear, Embedding, Dropout, LayerNorm, and the activations as modules.

Names, shapes, defaults and initial values are PyTorch's. x can be a Tensor or an array of the parameters' dtype.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn.autograd import Tensor, devices
from minirnn.nn import functional, init
from minirnn.nn.module import Module, Parameter, float_dtype

Array = Any


class Linear(Module):
    """y = x Wᵀ + b: x (..., in_features) -> y (..., out_features).

    Parameters: weight (out_features, in_features) and bias (out_features,), drawn in this order, uniform over
    ±1/√in_features, from `rng` or the generator that `minirnn.manual_seed` seeds.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.in_features = checked_size("in_features", in_features)
        self.out_features = checked_size("out_features", out_features)
        shape = (self.out_features, self.in_features)
        self.weight = init.fan_uniform_(Parameter(np.empty(shape, float_dtype(dtype))), self.in_features, rng)
        self.bias: Parameter | None = None
        if bias:
            self.bias = init.fan_uniform_(Parameter(np.empty(shape[:1], float_dtype(dtype))), self.in_features, rng)

    def forward(self, x: Array) -> Tensor:
        _check_features("x", x, (self.in_features,), self.weight)
        # One matrix product. For x (T, B, I), matmul would compute T small products, and T gradients of W to add up.
        rows = x if x.ndim <= 2 else x.reshape(math.prod(x.shape[:-1]), self.in_features)
        y: Tensor = rows @ self.weight.T
        if self.bias is not None:
            y = y + self.bias
        return y if x.ndim <= 2 else y.reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Embedding(Module):
    """A table of vectors: ids (...), integers in 0..num_embeddings-1 -> vectors (..., embedding_dim).

    weight (num_embeddings, embedding_dim) is drawn from the normal distribution (0, 1). The ids can be on the host when
    weight is on a GPU: they are checked there and then moved. Raises TypeError for ids that are not integers, and
    IndexError for an id out of range; negative ids are out of range.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.num_embeddings = checked_size("num_embeddings", num_embeddings)
        self.embedding_dim = checked_size("embedding_dim", embedding_dim)
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = init.normal_(Parameter(np.empty(shape, float_dtype(dtype))), rng=rng)

    def forward(self, ids: Array) -> Tensor:
        indices = functional.as_ids("ids", ids)
        functional.check_ids("ids", indices, self.num_embeddings, "embeddings")
        return self.weight[devices.like(indices, self.weight.data)]

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Dropout(Module):
    """`functional.dropout` in training mode, and the identity otherwise.

    The random numbers come from `rng`; without it, from the generator that `minirnn.manual_seed` seeds.
    """

    locked = False

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"p: expected a probability in [0, 1], got {p}")
        self.p = p
        self.rng = rng if rng is None else init.chosen_generator(rng)

    def forward(self, x: Array) -> Array:
        return functional.dropout(x, self.p, self.training, self.rng, locked=self.locked)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class LockedDropout(Dropout):
    """Dropout for a sequence (T, ...) that drops the same units at all of its steps.

    A unit's value at one step is often predictable from the next step, so dropping it at single steps hides little
    information. Source: Gal and Ghahramani 2016, arXiv:1512.05287; for language models, Merity et al. 2017,
    arXiv:1708.02182.
    """

    locked = True


class LayerNorm(Module):
    """(x - mean) / √(variance + eps) * weight + bias, with mean and variance over the last axes, `normalized_shape`.

    The variance is the biased estimate. weight and bias have the shape `normalized_shape` and start at 1 and 0. Source:
    Ba, Kiros and Hinton 2016, equations 3 and 4.
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, *, dtype: npt.DTypeLike = np.float32
    ) -> None:
        shape = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        self.normalized_shape = tuple(checked_size("normalized_shape", n) for n in shape)
        if not self.normalized_shape:
            raise ValueError("normalized_shape: expected at least one axis")
        self.eps = eps
        self.weight = Parameter(np.ones(self.normalized_shape, float_dtype(dtype)))
        self.bias = Parameter(np.zeros(self.normalized_shape, float_dtype(dtype)))

    def forward(self, x: Array) -> Tensor:
        _check_features("x", x, self.normalized_shape, self.weight)
        axes = tuple(range(-len(self.normalized_shape), 0))
        centered = x - np.mean(x, axis=axes, keepdims=True)
        variance = np.mean(centered * centered, axis=axes, keepdims=True)
        return centered / np.sqrt(variance + self.eps) * self.weight + self.bias

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class Tanh(Module):
    """The hyperbolic tangent, elementwise."""

    def forward(self, x: Array) -> Array:
        return np.tanh(x)


class ReLU(Module):
    """max(x, 0), elementwise."""

    def forward(self, x: Array) -> Array:
        return functional.relu(x)


class Sigmoid(Module):
    """1 / (1 + e^-x), elementwise."""

    def forward(self, x: Array) -> Array:
        return functional.sigmoid(x)


def checked_size(name: str, value: Any) -> int:
    """Return value as an int. Raise TypeError if it is not an integer, ValueError if it is below 1."""
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None
    if size < 1:
        raise ValueError(f"{name}: expected an integer >= 1, got {value}")
    return size


def _check_features(name: str, x: Any, features: tuple[int, ...], parameter: Parameter) -> None:
    """Raise TypeError or ValueError unless x has the parameter's dtype and the shape (..., *features)."""
    if not hasattr(x, "dtype") or x.dtype != parameter.dtype or x.shape[-len(features) :] != features:
        shape = "(..., " + ", ".join(map(str, features)) + ")"
        got = f"{x.dtype} {x.shape}" if hasattr(x, "dtype") else type(x).__name__
        error = ValueError if got.startswith(str(parameter.dtype)) else TypeError
        raise error(f"{name}: expected {parameter.dtype} {shape}, got {got}")
