"""A function on Tensors as a pair forward, backward: the graph's own gradient is what is judged.

Duck-typed: a tensor is whatever has `data`, `grad`, `requires_grad` and `backward`, and is made by its own class from
an array. minirnn's Tensors are; so are others of that shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def is_tensor(value: Any) -> bool:
    """Whether it has what a leaf of a graph has."""
    return all(hasattr(value, name) for name in ("data", "grad", "requires_grad", "backward"))


def as_pair(
    function: Callable[..., Any], inputs: Sequence[Any]
) -> tuple[Callable[..., Any], Callable[..., Any], list[Any], list[int]]:
    """-> forward, backward, inputs as arrays, and the positions of those that require a gradient.

    Raises TypeError if no input is a tensor that requires a gradient.
    """
    kinds = {k: type(value) for k, value in enumerate(inputs) if is_tensor(value)}
    judged = [k for k in kinds if inputs[k].requires_grad]
    if not judged:
        raise TypeError("without a backward, inputs must hold Tensors, one at least with requires_grad=True")
    arrays = [np.array(value.data) if k in kinds else value for k, value in enumerate(inputs)]

    def run(values: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        leaves = [
            kinds[k](value, requires_grad=k in judged and value.dtype.kind == "f") if k in kinds else value
            for k, value in enumerate(values)
        ]
        result = function(*leaves)
        return leaves, list(result) if isinstance(result, tuple | list) else [result]

    def forward(*values: Any) -> tuple[Any, ...]:
        _, outputs = run(values)
        return (*(np.asarray(y.data if is_tensor(y) else y) for y in outputs), values)

    def backward(*given: Any) -> tuple[Any, ...]:
        *upstreams, values = given
        leaves, outputs = run(values)
        terms = [(y * u).sum() for y, u in zip(outputs, upstreams, strict=True) if u is not None and is_tensor(y)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        total.backward()
        return tuple(_gradient(leaves[k], values[k]) if k in judged else None for k in range(len(values)))

    return forward, backward, arrays, judged


def _gradient(leaf: Any, value: Any) -> Any:
    """A leaf that the output doesn't depend on has no gradient: zero."""
    if leaf.grad is None:
        return np.zeros_like(value)
    return np.asarray(leaf.grad.data if is_tensor(leaf.grad) else leaf.grad)
