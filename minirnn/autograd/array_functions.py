"""The implementations of NumPy's functions on Tensors: calls of a primitive with normalised arguments, or compositions.

A NumPy function that has no entry here raises a TypeError that names the function. Signatures are NumPy's, without the
options (out, dtype, where, initial, order) that have no meaning in a graph.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.autograd import devices, ops
from minirnn.autograd.array_methods import tnp
from minirnn.autograd.dtypes import constant
from minirnn.autograd.graph import Array
from minirnn.autograd.tensor import FUNCTIONS, PLAIN, Tensor, apply, plain, unary

PLAIN.update(
    {
        *(np.sign, np.floor, np.ceil, np.trunc, np.rint, np.isfinite, np.isnan, np.isinf, np.signbit),  # ufuncs
        *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
        *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
        *(np.argmax, np.argmin, np.argsort, np.argwhere, np.nonzero, np.count_nonzero, np.any, np.all, np.round),
        *(np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.result_type),
        *(np.array_equal, np.allclose, np.isclose, np.iscomplexobj, np.isrealobj, np.shares_memory, np.searchsorted),
    }
)


def implements(*functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the implementation of these NumPy functions on Tensors."""

    def enter(handler: Callable[..., Any]) -> Callable[..., Any]:
        handler.__qualname__ = f"np.{functions[0].__name__}"  # Python's own TypeErrors show this name
        FUNCTIONS.update(dict.fromkeys(functions, handler))
        return handler

    return enter


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes as a tuple of non-negative ints; None means all axes."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise np.exceptions.AxisError(a, ndim)
    return tuple(a % ndim for a in axes)


def _size(x: Tensor, axis: Any) -> int:
    """Return the number of elements of x that a reduction over `axis` combines into one."""
    return math.prod(x.shape[a] for a in _axes(axis, x.ndim))


def _arrays(fn: Any, operands: Sequence[Any]) -> list[Any]:
    """Return the operands with scalars and lists converted to arrays of the Tensors' dtype."""
    like = next((x.data for x in operands if isinstance(x, Tensor) and x.dtype.kind == "f"), None)
    if like is None:
        return list(operands)
    shaped = [x if isinstance(x, Tensor) or np.ndim(x) else devices.number_like(like, x) for x in operands]
    return [x if isinstance(x, Tensor) else constant(x, like.dtype, fn) for x in shaped]


# ---------------------------------------------------------------------------------------------- choice


@implements(np.full_like)
def _full_like(a: Any, fill_value: Any, *args: Any, **options: Any) -> Array:
    if isinstance(fill_value, Tensor) and fill_value.requires_grad:
        raise TypeError("np.full_like would lose the gradient of its fill value; write np.ones_like(a) * value")
    return np.full_like(plain(a), plain(fill_value), *args, **options)


@implements(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    if not any(isinstance(b, Tensor) for b in branches):
        return np.where(plain(condition), *branches)
    return apply(ops.where, *branches, condition=plain(condition))


@implements(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Tensor:
    low, high = a_min if min is None else min, a_max if max is None else max
    if not isinstance(a, Tensor) or isinstance(low, Tensor) or isinstance(high, Tensor):
        raise TypeError("np.clip: the bounds are constants; with Tensors write np.minimum(np.maximum(a, low), high)")
    return apply(ops.clip, a, low=constant(low, a.dtype, np.clip), high=constant(high, a.dtype, np.clip))


# ---------------------------------------------------------------------------------------------- reductions


def _reduction(primitive: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return the implementation of a reduction that is a primitive."""
    return lambda a, axis=None, *, keepdims=False: apply(primitive, a, axis=axis, keepdims=keepdims)


implements(np.sum)(_reduction(np.sum))
implements(np.max, np.amax)(_reduction(np.max))
implements(np.min, np.amin)(_reduction(np.min))


implements(np.mean)(lambda a, axis=None, *, keepdims=False: a.sum(axis, keepdims) / _size(a, axis))


@implements(np.var)
def _var(a: Tensor, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Tensor:
    centred = a - a.mean(axis, keepdims=True)
    return tnp.square(centred).sum(axis, keepdims) / max(_size(a, axis) - ddof, 0)


implements(np.std)(lambda a, axis=None, *, ddof=0, keepdims=False: unary(ops.root, a.var(axis, ddof, keepdims)))


@implements(np.prod)
def _prod(a: Tensor, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """Multiply halves of the elements together: then the derivative needs no division, which a zero would forbid."""
    axes = _axes(axis, a.ndim)
    rest = [i for i in range(a.ndim) if i not in axes]
    n = math.prod(a.shape[i] for i in axes)
    x = a.transpose(*rest, *axes).reshape(*(a.shape[i] for i in rest), n)
    if n == 0:
        x = x.sum(-1, keepdims=True) + 1
    while n > 1:
        half = n // 2
        pairs = x[..., :half] * x[..., half : 2 * half]
        x = tnp.concatenate([pairs, x[..., 2 * half :]], -1) if n % 2 else pairs
        n -= half
    return x.reshape(
        *(1 if i in axes else a.shape[i] for i in range(a.ndim)) if keepdims else (a.shape[i] for i in rest)
    )


implements(np.cumsum)(
    lambda a, axis=None: apply(np.cumsum, a.ravel(), axis=0) if axis is None else apply(np.cumsum, a, axis=axis)
)


# ---------------------------------------------------------------------------------------------- shape


@implements(np.reshape)
def _reshape(a: Tensor, shape: Any, order: str = "C") -> Tensor:
    if order != "C":
        raise TypeError(f"np.reshape on Tensors: order: expected 'C', got {order!r}")
    return apply(ops.reshape, a, shape=shape)


implements(np.transpose)(
    lambda a, axes=None: apply(np.transpose, a, axes=_axes(range(a.ndim)[::-1] if axes is None else axes, a.ndim))
)


def _labelled(a: Tensor) -> Array:
    """Return an empty array whose axis i has length i: after a permutation, its shape is the permutation."""
    return np.empty(tuple(range(a.ndim)))


implements(np.ravel)(lambda a: a.reshape(-1))
implements(np.expand_dims)(lambda a, axis: a.reshape(np.expand_dims(a.data, axis).shape))
implements(np.squeeze)(lambda a, axis=None: a.reshape(np.squeeze(a.data, axis).shape))
implements(np.swapaxes)(lambda a, axis1, axis2: a.transpose(np.swapaxes(_labelled(a), axis1, axis2).shape))
implements(np.moveaxis)(
    lambda a, source, destination: a.transpose(np.moveaxis(_labelled(a), source, destination).shape)
)
implements(np.broadcast_to)(lambda array, shape: apply(np.broadcast_to, array, shape=shape))


@implements(Tensor.astype)
def _astype(a: Tensor, dtype: Any) -> Tensor:
    dtype = np.dtype(dtype)
    if dtype == a.dtype:
        return a
    if a.requires_grad and dtype.kind != "f":
        raise TypeError(f"astype: a Tensor that requires grad can't become {dtype}; call detach() first")
    return apply(ops.astype, a, dtype=dtype)


implements(Tensor.to)(
    lambda a, device: a if devices.device_of(a.data) == devices.named(device) else apply(ops.to, a, device=device)
)

# ---------------------------------------------------------------------------------------------- place


implements(Tensor.__getitem__)(
    lambda a, index: apply(ops.getitem, a, index=devices.own_index(plain(index), a.data, a.shape))
)


def _along(axis: int, part: Any) -> tuple[Any, ...]:
    """Return the index that selects `part` along one axis and all of the axes before it."""
    return (*(slice(None),) * axis, part)


@implements(np.take)
def _take(a: Any, indices: Any, axis: Any = None) -> Tensor:
    indices = plain(indices)
    if not isinstance(a, Tensor):
        return np.take(a, indices, axis)
    if isinstance(indices, (list, tuple)):
        indices = np.asarray(indices, None if len(indices) else np.intp)
    if getattr(getattr(indices, "dtype", None), "kind", "") == "b":  # for np.take bools are 0 and 1, not a mask
        indices = indices.astype(np.intp)
    return a.ravel()[indices] if axis is None else a[_along(_axes(axis, a.ndim)[0], indices)]


@implements(np.flip)
def _flip(m: Tensor, axis: Any = None) -> Tensor:
    axes = _axes(axis, m.ndim)
    return m[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(m.ndim))]


@implements(np.roll)
def _roll(a: Tensor, shift: Any, axis: Any = None) -> Tensor:
    if axis is None:
        return _roll(a.ravel(), shift, 0).reshape(a.shape)
    for s, i in np.broadcast(shift, _axes(axis, a.ndim)):
        n = a.shape[i]
        s = s % n if n else 0
        a = tnp.concatenate([a[_along(i, slice(n - s, None))], a[_along(i, slice(None, n - s))]], i)
    return a


@implements(np.split)
def _split(ary: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    (axis,) = _axes(axis, ary.ndim)
    pieces = [p.tolist() for p in np.split(np.arange(ary.shape[axis]), indices_or_sections)]
    return [ary[_along(axis, slice(p[0], p[-1] + 1) if p else slice(0))] for p in pieces]


@implements(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: Any = 0) -> Tensor:
    arrays = _arrays(np.concatenate, arrays)
    if axis is None:
        return tnp.concatenate([tnp.ravel(a) for a in arrays])
    (axis,) = _axes(axis, np.ndim(arrays[0]))
    return apply(ops.concatenate, *arrays, axis=axis)


implements(np.stack)(
    lambda arrays, axis=0: tnp.concatenate([tnp.expand_dims(a, axis) for a in _arrays(np.stack, arrays)], axis)
)


@implements(np.repeat)
def _repeat(a: Tensor, repeats: Any, axis: Any = None) -> Tensor:
    if axis is None:
        a, axis = a.ravel(), 0
    (axis,) = _axes(axis, a.ndim)
    return a[_along(axis, np.repeat(np.arange(a.shape[axis]), repeats))]


@implements(np.tile)
def _tile(A: Tensor, reps: Any) -> Tensor:
    reps = (reps,) if isinstance(reps, (int, np.integer)) else tuple(reps)
    ndim = max(A.ndim, len(reps))
    shape, reps = (1,) * (ndim - A.ndim) + A.shape, (1,) * (ndim - len(reps)) + reps
    split = [n for s in shape for n in (1, s)]
    repeated = [n for r, s in zip(reps, shape, strict=True) for n in (r, s)]
    tiled = [r * s for r, s in zip(reps, shape, strict=True)]
    return tnp.broadcast_to(A.reshape(split), repeated).reshape(tiled)


@implements(np.pad)
def _pad(array: Tensor, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Tensor:
    if mode != "constant" or not isinstance(constant_values, (int, float)):
        raise TypeError(
            f"np.pad on Tensors: expected mode='constant' and one value, got {mode!r} and {constant_values!r}"
        )
    widths = tuple((int(a), int(b)) for a, b in np.broadcast_to(pad_width, (array.ndim, 2)))
    return apply(ops.pad, array, widths=widths, value=constant_values)


# ---------------------------------------------------------------------------------------------- products


@implements(np.outer)
def _outer(a: Any, b: Any) -> Tensor:
    a, b = _arrays(np.outer, (a, b))
    return tnp.reshape(a, (-1, 1)) * tnp.reshape(b, (1, -1))


@implements(np.dot)
def _dot(a: Any, b: Any) -> Tensor:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    return a @ b if np.ndim(b) <= 2 else tnp.tensordot(a, b, (-1, -2))


@implements(np.tensordot)
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
    left = tnp.reshape(tnp.transpose(a, (*rest_a, *over_a)), (math.prod(out_a), k))
    right = tnp.reshape(tnp.transpose(b, (*over_b, *rest_b)), (k, math.prod(out_b)))
    return tnp.reshape(left @ right, (*out_a, *out_b))


@implements(np.einsum)
def _einsum(subscripts: Any, *operands: Any) -> Tensor:
    """Expand ellipses and replace repeated indices by diagonals, so that the primitive handles neither."""
    if not isinstance(subscripts, str):
        raise TypeError("np.einsum on Tensors: subscripts: expected a string such as 'ij,jk->ik' as the first argument")
    terms, out = _spelt_out(subscripts.replace(" ", ""), [np.ndim(x) for x in operands])
    xs = _arrays(np.einsum, operands)
    for i, term in enumerate(terms):
        for s in dict.fromkeys(term):
            while term.count(s) > 1:
                p, q = term.index(s), term.rindex(s)
                n, m = np.shape(xs[i])[p], np.shape(xs[i])[q]
                if n != m:
                    raise ValueError(f"np.einsum: the index {s!r} of operand {i} has lengths {n} and {m}")
                xs[i] = tnp.moveaxis(xs[i], (p, q), (0, 1))[np.arange(n), np.arange(n)]
                term = s + "".join(c for j, c in enumerate(term) if j not in (p, q))
        terms[i] = term
    return apply(ops.einsum, *xs, subscripts=",".join(terms) + "->" + out)


def _spelt_out(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Return the terms and the output with a letter for every axis of an ellipsis. The output is always explicit."""
    left, arrow, out = subscripts.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"np.einsum: subscripts: {subscripts!r} has {len(terms)} terms for {len(ndims)} operands")
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        out = "..." * ("..." in left) + "".join(sorted(s for s in letters if letters.count(s) == 1))
    elif "..." in left and "..." not in out:
        raise ValueError(f"np.einsum: subscripts: the output of {subscripts!r} lacks the ellipsis '...'")
    free = [s for s in string.ascii_letters if s not in subscripts]
    hidden = [n - len(t.replace("...", "")) if "..." in t else 0 for t, n in zip(terms, ndims, strict=True)]
    most = max(hidden, default=0)
    spelt = ["".join(free[most - h : most]) for h in hidden]
    return [t.replace("...", s) for t, s in zip(terms, spelt, strict=True)], out.replace("...", "".join(free[:most]))
