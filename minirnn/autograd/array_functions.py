"""What NumPy's functions mean on Tensors: arguments put in order for a primitive, or compositions of primitives.

A function of NumPy that has no entry here raises a TypeError that names it. Signatures are NumPy's, less the options
(out, dtype, where, initial, order) that have no meaning in a graph.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.autograd import devices, ops
from minirnn.autograd.graph import Array
from minirnn.autograd.tensor import FUNCTIONS, PLAIN, Tensor, apply, constant, plain, unary, xp

PLAIN.update(
    # ufuncs
    (np.sign, np.floor, np.ceil, np.trunc, np.rint, np.isfinite, np.isnan, np.isinf, np.signbit),
)
PLAIN.update((np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal))
PLAIN.update((np.logical_and, np.logical_or, np.logical_not, np.logical_xor))
PLAIN.update((np.argmax, np.argmin, np.argsort, np.argwhere, np.nonzero, np.count_nonzero, np.any, np.all, np.round))
PLAIN.update((np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.result_type))
PLAIN.update(
    (np.array_equal, np.allclose, np.isclose, np.iscomplexobj, np.isrealobj, np.shares_memory, np.searchsorted)
)


def means(*functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter the decorated function as what these functions of NumPy mean on Tensors."""

    def enter(handler: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FUNCTIONS[function] = handler
        return handler

    return enter


def _size(x: Tensor, axis: Any) -> int:
    """The number of elements of x that a reduction over axis takes together."""
    return math.prod(x.shape[a] for a in _axes(axis, x.ndim))


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise np.exceptions.AxisError(a, ndim)
    return tuple(a % ndim for a in axes)


def _arrays(fn: Any, operands: Sequence[Any]) -> list[Any]:
    """The operands, with scalars and lists among them made arrays of the dtype of the Tensors."""
    like = next((x.data for x in operands if isinstance(x, Tensor) and x.dtype.kind == "f"), None)
    if like is None:
        return list(operands)

    def array(x: Any) -> Any:
        if isinstance(x, Tensor):
            return x
        return constant(x, like.dtype, fn) if np.ndim(x) else devices.number_like(like, x)

    return list(map(array, operands))


# ---------------------------------------------------------------------------------------------- choice


@means(np.full_like)
def _full_like(a: Any, fill_value: Any, *args: Any, **options: Any) -> Array:
    if isinstance(fill_value, Tensor) and fill_value.requires_grad:
        raise TypeError("np.full_like would lose the gradient of its fill value; write np.ones_like(a) * value")
    return np.full_like(plain(a), plain(fill_value), *args, **options)


@means(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    if not any(isinstance(b, Tensor) for b in branches):
        return np.where(plain(condition), *branches)
    return apply(ops._where, *branches, c=plain(condition))


@means(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Tensor:
    low, high = a_min if min is None else min, a_max if max is None else max
    if not isinstance(a, Tensor) or isinstance(low, Tensor) or isinstance(high, Tensor):
        raise TypeError("np.clip: the bounds are constants; with Tensors write np.minimum(np.maximum(a, low), high)")
    return apply(ops._clip, a, low=constant(low, a.dtype, np.clip), high=constant(high, a.dtype, np.clip))


# ---------------------------------------------------------------------------------------------- reductions


@means(np.sum)
def _sum(a: Tensor, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return apply(np.sum, a, axis=axis, keepdims=keepdims)


@means(np.max, np.amax)
def _max(a: Tensor, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return apply(np.max, a, axis=axis, keepdims=keepdims)


@means(np.min, np.amin)
def _min(a: Tensor, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return apply(np.min, a, axis=axis, keepdims=keepdims)


@means(np.mean)
def _mean(a: Tensor, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    return xp.sum(a, axis=axis, keepdims=keepdims) / _size(a, axis)


@means(np.var)
def _var(a: Tensor, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Tensor:
    centred = a - a.mean(axis, keepdims=True)
    return xp.square(centred).sum(axis, keepdims) / max(_size(a, axis) - ddof, 0)


@means(np.std)
def _std(a: Tensor, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> Tensor:
    return unary(ops._root, a.var(axis, ddof, keepdims))


@means(np.prod)
def _prod(a: Tensor, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """By halves, so that the derivative needs no division and zeros are nothing special."""
    axes = _axes(axis, a.ndim)
    rest = [i for i in range(a.ndim) if i not in axes]
    n = math.prod(a.shape[i] for i in axes)
    x = a.transpose(*rest, *axes).reshape(*(a.shape[i] for i in rest), n)
    if n == 0:
        x = x.sum(-1, keepdims=True) + 1
    while n > 1:
        half = n // 2
        pairs = x[..., :half] * x[..., half : 2 * half]
        x = xp.concatenate([pairs, x[..., 2 * half :]], -1) if n % 2 else pairs
        n -= half
    return x.reshape(
        *(1 if i in axes else a.shape[i] for i in range(a.ndim)) if keepdims else (a.shape[i] for i in rest)
    )


@means(np.cumsum)
def _cumsum(a: Tensor, axis: Any = None) -> Tensor:
    if axis is None:
        a, axis = a.ravel(), 0
    return apply(np.cumsum, a, axis=axis)


# ---------------------------------------------------------------------------------------------- shape


@means(np.reshape)
def _reshape(a: Tensor, shape: Any, order: str = "C") -> Tensor:
    if order != "C":
        raise TypeError(f"np.reshape on Tensors: order is 'C', got {order!r}")
    return apply(ops._reshape, a, shape=shape)


@means(np.ravel)
def _ravel(a: Tensor) -> Tensor:
    return a.reshape(-1)


@means(np.expand_dims)
def _expand_dims(a: Tensor, axis: Any) -> Tensor:
    return a.reshape(np.expand_dims(a.data, axis).shape)


@means(np.squeeze)
def _squeeze(a: Tensor, axis: Any = None) -> Tensor:
    return a.reshape(np.squeeze(a.data, axis).shape)


@means(np.transpose)
def _transpose(a: Tensor, axes: Any = None) -> Tensor:
    if axes is None:
        axes = range(a.ndim)[::-1]
    return apply(np.transpose, a, axes=_axes(axes, a.ndim))


def _labelled(ndim: int) -> Array:
    """An array of no elements whose axis i has length i: what a function does to its shape, it does to the axes."""
    return np.empty(tuple(range(ndim)))


@means(np.swapaxes)
def _swapaxes(a: Tensor, axis1: int, axis2: int) -> Tensor:
    return a.transpose(np.swapaxes(_labelled(a.ndim), axis1, axis2).shape)


@means(np.moveaxis)
def _moveaxis(a: Tensor, source: Any, destination: Any) -> Tensor:
    return a.transpose(np.moveaxis(_labelled(a.ndim), source, destination).shape)


@means(np.broadcast_to)
def _broadcast_to(array: Tensor, shape: Any) -> Tensor:
    return apply(np.broadcast_to, array, shape=shape)


@means(Tensor.astype)
def _astype(a: Tensor, dtype: Any) -> Tensor:
    dtype = np.dtype(dtype)
    if dtype == a.dtype:
        return a
    if a.requires_grad and dtype.kind != "f":
        raise TypeError(f"astype: a Tensor that requires grad can't become {dtype}; detach() first")
    return apply(ops._astype, a, dtype=dtype)


@means(Tensor.to)
def _to(a: Tensor, device: str) -> Tensor:
    if devices.device_of(a.data) == devices.named(device):
        return a
    return apply(ops._to, a, device=device)


# ---------------------------------------------------------------------------------------------- place


@means(Tensor.__getitem__)
def _getitem(a: Tensor, index: Any) -> Tensor:
    return apply(ops._getitem, a, index=devices.own_index(plain(index), a.data, a.shape))


def _along(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that takes `part` of one axis and all of those before it."""
    return (*(slice(None),) * axis, part)


@means(np.take)
def _take(a: Any, indices: Any, axis: Any = None) -> Tensor:
    if not isinstance(a, Tensor):
        return np.take(a, plain(indices), axis)
    indices = plain(indices)
    if isinstance(indices, (list, tuple)):
        indices = np.asarray(indices, None if len(indices) else np.intp)
    if getattr(getattr(indices, "dtype", None), "kind", "") == "b":  # np.take counts with them, indexing would select
        indices = indices.astype(np.intp)
    if axis is None:
        return a.ravel()[indices]
    (axis,) = _axes(axis, a.ndim)
    return a[_along(axis, indices)]


@means(np.flip)
def _flip(m: Tensor, axis: Any = None) -> Tensor:
    axes = _axes(axis, m.ndim)
    return m[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(m.ndim))]


@means(np.roll)
def _roll(a: Tensor, shift: Any, axis: Any = None) -> Tensor:
    if axis is None:
        return _roll(a.ravel(), shift, 0).reshape(a.shape)
    for s, i in np.broadcast(shift, _axes(axis, a.ndim)):
        n = a.shape[i]
        s = s % n if n else 0
        a = xp.concatenate([a[_along(i, slice(n - s, None))], a[_along(i, slice(None, n - s))]], i)
    return a


@means(np.split)
def _split(ary: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    (axis,) = _axes(axis, ary.ndim)
    pieces = [p.tolist() for p in np.split(np.arange(ary.shape[axis]), indices_or_sections)]
    return [ary[_along(axis, slice(p[0], p[-1] + 1) if p else slice(0))] for p in pieces]


@means(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: Any = 0) -> Tensor:
    arrays = _arrays(np.concatenate, arrays)
    if axis is None:
        return xp.concatenate([xp.ravel(a) for a in arrays])
    (axis,) = _axes(axis, np.ndim(arrays[0]))
    return apply(ops._concatenate, *arrays, axis=axis)


@means(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0) -> Tensor:
    return xp.concatenate([xp.expand_dims(a, axis) for a in _arrays(np.stack, arrays)], axis)


@means(np.repeat)
def _repeat(a: Tensor, repeats: Any, axis: Any = None) -> Tensor:
    if axis is None:
        a, axis = a.ravel(), 0
    (axis,) = _axes(axis, a.ndim)
    return a[_along(axis, np.repeat(np.arange(a.shape[axis]), repeats))]


@means(np.tile)
def _tile(A: Tensor, reps: Any) -> Tensor:
    reps = (reps,) if isinstance(reps, (int, np.integer)) else tuple(reps)
    ndim = max(A.ndim, len(reps))
    shape, reps = (1,) * (ndim - A.ndim) + A.shape, (1,) * (ndim - len(reps)) + reps
    split = [n for s in shape for n in (1, s)]
    repeated = [n for r, s in zip(reps, shape, strict=True) for n in (r, s)]
    return _broadcast_to(A.reshape(split), repeated).reshape([r * s for r, s in zip(reps, shape, strict=True)])


@means(np.pad)
def _pad(array: Tensor, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Tensor:
    if mode != "constant" or not isinstance(constant_values, (int, float)):
        raise TypeError(f"np.pad on Tensors: mode is 'constant' with one value, got {mode!r}, {constant_values!r}")
    widths = tuple((int(a), int(b)) for a, b in np.broadcast_to(pad_width, (array.ndim, 2)))
    return apply(ops._pad, array, widths=widths, value=constant_values)


# ---------------------------------------------------------------------------------------------- products


@means(np.outer)
def _outer(a: Any, b: Any) -> Tensor:
    a, b = _arrays(np.outer, (a, b))
    return xp.reshape(a, (-1, 1)) * xp.reshape(b, (1, -1))


@means(np.dot)
def _dot(a: Any, b: Any) -> Tensor:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    if np.ndim(b) <= 2:
        return a @ b
    return xp.tensordot(a, b, (-1, -2))


@means(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    a, b = _arrays(np.tensordot, (a, b))
    n, m = np.ndim(a), np.ndim(b)
    over_a, over_b = (range(n - axes, n), range(axes)) if isinstance(axes, int) else axes
    over_a, over_b = _axes(over_a, n), _axes(over_b, m)
    rest_a, rest_b = [i for i in range(n) if i not in over_a], [i for i in range(m) if i not in over_b]
    shape_a, shape_b = np.shape(a), np.shape(b)
    if [shape_a[i] for i in over_a] != [shape_b[i] for i in over_b]:
        raise ValueError(f"np.tensordot: axes {over_a} of {shape_a} and {over_b} of {shape_b} differ in length")
    k = math.prod(shape_a[i] for i in over_a)
    out_a, out_b = [shape_a[i] for i in rest_a], [shape_b[i] for i in rest_b]
    left = xp.reshape(xp.transpose(a, (*rest_a, *over_a)), (math.prod(out_a), k))
    right = xp.reshape(xp.transpose(b, (*over_b, *rest_b)), (k, math.prod(out_b)))
    return xp.reshape(left @ right, (*out_a, *out_b))


@means(np.einsum)
def _einsum(subscripts: Any, *operands: Any) -> Tensor:
    """Any subscripts string; ellipses are spelt out and repeated indices become diagonals before the primitive."""
    if not isinstance(subscripts, str):
        raise TypeError("np.einsum on Tensors: write the subscripts as a string, such as 'ij,jk->ik'")
    terms, out = _spelt_out(subscripts.replace(" ", ""), [np.ndim(x) for x in operands])
    xs = _arrays(np.einsum, operands)
    for i, term in enumerate(terms):
        for s in dict.fromkeys(term):
            while term.count(s) > 1:
                p, q = term.index(s), term.rindex(s)
                n, m = np.shape(xs[i])[p], np.shape(xs[i])[q]
                if n != m:
                    raise ValueError(f"np.einsum: the index {s!r} of operand {i} has lengths {n} and {m}")
                xs[i] = xp.moveaxis(xs[i], (p, q), (0, 1))[np.arange(n), np.arange(n)]
                term = s + "".join(c for j, c in enumerate(term) if j not in (p, q))
        terms[i] = term
    return apply(ops._einsum, *xs, subscripts=",".join(terms) + "->" + out)


def _spelt_out(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """The terms and the output, with letters for every axis under an ellipsis, and the implicit output written."""
    left, arrow, out = subscripts.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"np.einsum: {len(terms)} terms in {subscripts!r} for {len(ndims)} operands")
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        out = "..." * ("..." in left) + "".join(sorted(s for s in letters if letters.count(s) == 1))
    elif "..." in left and "..." not in out:
        raise ValueError(f"np.einsum: the output of {subscripts!r} lacks the ellipsis")
    free = [s for s in string.ascii_letters if s not in subscripts]
    hidden = [n - len(t.replace("...", "")) if "..." in t else 0 for t, n in zip(terms, ndims, strict=True)]
    most = max(hidden, default=0)
    spelt = ["".join(free[most - h : most]) for h in hidden]
    return [t.replace("...", s) for t, s in zip(terms, spelt, strict=True)], out.replace("...", "".join(free[:most]))
