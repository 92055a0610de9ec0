"""Attention: for each query, a weighted mean of the memory, with larger weights for elements that match the query.

Queries are (B, Q, D), memory is (B, K, M). Both classes score each query against each element of the memory, convert
the scores with softmax to weights that sum to 1, and return the mean of the memory with these weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn.nn import functional, init
from minirnn.nn.layers import Linear, checked_size
from minirnn.nn.module import Module, Parameter

__all__ = ["AdditiveAttention", "DotAttention"]

Array = Any


class _Attention(Module):
    """Base of both kinds: a subclass defines `scores`."""

    def forward(
        self, query: Array, memory: Array, mask: Array | None = None, bias: Array | None = None
    ) -> tuple[Any, Any]:
        """Return the context (B, Q, M) and the weights (B, Q, K) for query (B, Q, D) and memory (B, K, M).

        mask: bools (B, Q, K); the weight is 0 where it is False, and each query needs at least one True. bias: (B, Q,
        K), added to the scores. Raises ValueError for shapes that do not match.
        """
        if query.ndim != 3 or memory.ndim != 3 or len(query) != len(memory):
            raise ValueError(f"expected query (B, Q, D) and memory (B, K, M), got {query.shape} and {memory.shape}")
        expected = (len(query), query.shape[1], memory.shape[1])
        for name, array in (("mask", mask), ("bias", bias)):
            if array is not None and array.shape != expected:
                raise ValueError(f"{name}: expected shape {expected}, got {array.shape}")
        scores = self.scores(query, memory)
        if bias is not None:
            scores = scores + bias
        if mask is not None:
            if not (seen := mask.any(axis=-1)).all():
                at = tuple(int(i) for i in np.argwhere(~seen)[0])
                raise ValueError(f"mask: expected at least one True for each query, got none for the query at {at}")
            scores = np.where(mask, scores, -np.inf)
        weights = functional.softmax(scores, axis=-1)
        return weights @ memory, weights

    def scores(self, query: Array, memory: Array) -> Any:
        """Return the score of each query for each element of the memory, (B, Q, K)."""
        raise NotImplementedError


class DotAttention(_Attention):
    """score = (W q) · k. Source: Luong, Pham and Manning 2015, section 3.1, "general"."""

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.project = Linear(query_size, memory_size, bias=False, dtype=dtype, rng=rng)

    def scores(self, query: Array, memory: Array) -> Any:
        return self.project(query) @ memory.transpose(0, 2, 1)


class AdditiveAttention(_Attention):
    """score = v · tanh(W q + U k). Source: Bahdanau, Cho and Bengio 2015, appendix A.1.2.

    The intermediate result has B * Q * K * size elements, far more than in DotAttention for large Q and K.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        size: int,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.of_query = Linear(query_size, checked_size("size", size), bias=False, dtype=dtype, rng=rng)
        self.of_memory = Linear(memory_size, size, dtype=dtype, rng=rng)
        self.weight = init.fan_uniform_(Parameter(np.empty(size, self.of_query.weight.dtype)), size, rng)

    def scores(self, query: Array, memory: Array) -> Any:
        together = self.of_query(query)[:, :, None] + self.of_memory(memory)[:, None]
        return np.tanh(together) @ self.weight
