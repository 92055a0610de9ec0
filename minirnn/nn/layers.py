"""Layers without time: Linear, Embedding, Dropout, LayerNorm, and the activations as modules.

Names, shapes, defaults and initial values are PyTorch's. x may be a Tensor or an array; its dtype is the parameters'.
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
    """y = x Wᵀ + b: x (..., in_features) -> (..., out_features).

    weight (out_features, in_features) and bias (out_features,) start uniform over ±1/√in_features, drawn in this order
    from `rng`, or as `init` says.
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
        # One product of matrices: over (T, B, I), matmul would make T small ones, and T gradients of W to add up.
        rows = x if x.ndim <= 2 else x.reshape(math.prod(x.shape[:-1]), self.in_features)
        y: Tensor = rows @ self.weight.T
        if self.bias is not None:
            y = y + self.bias
        return y if x.ndim <= 2 else y.reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Embedding(Module):
    """A table of vectors: ids (...), ints in 0..num_embeddings-1 -> (..., embedding_dim). weight starts normal (0, 1).

    The ids may be on the host though weight is on a GPU: they are checked where they are, which is quicker there, and
    moved. TypeError when they aren't ints, IndexError when one is out of range (a negative one never counts from the
    end).
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
    """`functional.dropout` while `training`, nothing otherwise. Draws from `rng`, or as `minirnn.manual_seed` says."""

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"p: expected a probability in [0, 1], got {p}")
        self.p = p
        self.rng = rng if rng is None else init.chosen_generator(rng)

    def forward(self, x: Array) -> Array:
        return functional.dropout(x, self.p, self.training, self.rng)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class LockedDropout(Dropout):
    """Dropout for a sequence (T, ...): the same units are dropped at all of its steps.

    What a unit says at one step can often be guessed from the next: dropping it here and there withholds little.
    Source: Gal and Ghahramani 2016, arXiv:1512.05287; for language models, Merity et al. 2017, arXiv:1708.02182.
    """

    def forward(self, x: Array) -> Array:
        return functional.dropout(x, self.p, self.training, self.rng, locked=True)


class LayerNorm(Module):
    """(x - mean) / √(variance + eps) over the last axes, `normalized_shape`, times weight plus bias of that shape.

    The variance is the biased one. weight starts at 1, bias at 0. Source: Ba, Kiros and Hinton 2016, equations 3 and 4.
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
    def forward(self, x: Array) -> Array:
        return np.tanh(x)


class ReLU(Module):
    def forward(self, x: Array) -> Array:
        return functional.relu(x)


class Sigmoid(Module):
    def forward(self, x: Array) -> Array:
        return functional.sigmoid(x)


def checked_size(name: str, value: Any) -> int:
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None
    if size < 1:
        raise ValueError(f"{name}: expected an integer >= 1, got {value}")
    return size


def _check_features(name: str, x: Any, features: tuple[int, ...], parameter: Parameter) -> None:
    """x must be floats of the parameter's dtype, of shape (..., *features)."""
    if not hasattr(x, "dtype") or x.dtype != parameter.dtype or x.shape[-len(features) :] != features:
        shape = "(..., " + ", ".join(map(str, features)) + ")"
        got = f"{x.dtype} {x.shape}" if hasattr(x, "dtype") else type(x).__name__
        error = ValueError if got.startswith(str(parameter.dtype)) else TypeError
        raise error(f"{name}: expected {parameter.dtype} {shape}, got {got}")
