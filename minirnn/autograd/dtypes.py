"""The dtype rules of operations that mix Tensors with each other, with arrays and with numbers.

Python numbers, NumPy scalars, 0-d arrays and arrays of integers take the Tensor's dtype. Two arrays of different
floating dtypes are an error: nothing is converted silently. Integers become float32 where an operation needs floats.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.autograd.graph import Array, name_of


def constant(x: Any, dtype: Any, fn: Any, is_tensor: bool = False) -> Any:
    """Convert the constant x so that `fn` can combine it with a Tensor of `dtype`.

    With `is_tensor`, x is the data of another Tensor; then a 0-d array of another floating dtype is an error, too.
    """
    if x.__class__ is float or x.__class__ is int or x.__class__ is bool or x is None:
        return x
    if not hasattr(x, "dtype"):
        return np.asarray(x, dtype) if dtype.kind == "f" else np.asarray(x)
    if x.dtype is dtype or x.dtype == dtype or dtype.kind != "f":
        return x
    if x.dtype.kind in "iub" or (x.ndim == 0 and x.dtype.kind == "f" and not is_tensor):
        return x.astype(dtype)
    raise TypeError(
        f"{name_of(fn)}: expected arguments of one dtype, got a {dtype} Tensor and a {x.dtype} "
        f"{'Tensor' if is_tensor else 'array'} of shape {x.shape}; write .astype(np.{dtype}) after one of them"
    )


def common(p: Array, q: Array, fn: Any) -> tuple[Array, Array]:
    """Return the data of two Tensors in one dtype. Integers take the other Tensor's floating dtype."""
    if p.dtype.kind == "f":
        return p, constant(q, p.dtype, fn, True)
    return constant(p, q.dtype, fn, True), q


def in_floats(fn: Any, p: Any, q: Any, y: Any) -> tuple[Any, Any, Any]:
    """Return p, q and y = fn(p, q), recomputed in the arrays' floating dtype (or float32) if one is integer."""
    if y.dtype.kind != "f" or not any(getattr(x, "dtype", np.dtype(float)).kind in "iub" for x in (p, q)):
        return p, q, y
    dtype = next((x.dtype for x in (p, q) if np.ndim(x) and x.dtype.kind == "f"), np.float32)
    p, q = (x.astype(dtype) if hasattr(x, "dtype") else x for x in (p, q))
    return p, q, fn(p, q)
