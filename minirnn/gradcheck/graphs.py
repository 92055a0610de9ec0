"""A function on Tensors as a pair (forward, backward), so that a check can judge the gradient of its graph.

The code is duck-typed: a tensor is any object with `data`, `grad`, `requires_grad` and `backward` whose class makes one
from an array. minirnn's Tensors qualify, and so do similar classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.gradcheck.objective import listed


def is_tensor(value: Any) -> bool:
    """Return whether the value has the attributes of a leaf of a graph."""
    return all(hasattr(value, name) for name in ("data", "grad", "requires_grad", "backward"))


def as_pair(
    function: Callable[..., Any], inputs: Sequence[Any]
) -> tuple[Callable[..., Any], Callable[..., Any], list[Any], list[int]]:
    """Return forward, backward, the inputs as arrays, and the positions of the inputs that require a gradient.

    Raise TypeError if no input is a tensor that requires a gradient.
    """
    kinds = {k: type(value) for k, value in enumerate(inputs) if is_tensor(value)}
    judged = [k for k in kinds if inputs[k].requires_grad]
    if not judged:
        raise TypeError("without a backward function, inputs must contain at least one Tensor with requires_grad=True")
    arrays = [np.array(value.data) if k in kinds else value for k, value in enumerate(inputs)]

    def run(values: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        leaves = [
            kinds[k](value, requires_grad=k in judged and value.dtype.kind == "f") if k in kinds else value
            for k, value in enumerate(values)
        ]
        return leaves, listed(function(*leaves))

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
    """Return a leaf's gradient; zeros if the output doesn't depend on the leaf."""
    if leaf.grad is None:
        return np.zeros_like(value)
    return np.asarray(leaf.grad.data if is_tensor(leaf.grad) else leaf.grad)
