"""Every operation that the graph knows, each primitive beside its derivative.

A rule is a vector-Jacobian product: `g` is the gradient of the result `y`, and the rule returns the gradient of one
argument. Rules are written with operators and NumPy functions, so that they run on arrays, and on Tensors when the
gradient is to be differentiated again. They needn't undo broadcasting: the walk does, in one place.

The table stands first; `array_functions.py` says what NumPy's other functions mean on Tensors, composed from it.

Where a function has a kink, the convention is: abs, relu: 0 at 0. maximum, minimum: half to each of two equal
arguments. max, min: equal shares to all that attain it. clip: 1 on the bounds. sqrt: infinite at 0, but std: 0 where
all values are equal. power: x**0 has the derivative 0 in x at 0 too, and 0**p has the derivative 0 in p.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minirnn.autograd import devices
from minirnn.autograd.graph import RULES, Rule, unbroadcast
from minirnn.autograd.tensor import Tensor, apply, plain, unary
from minirnn_kernels import gates

sum_to = unbroadcast


def rule(fn: Callable[..., Any], *vjps: Rule | None) -> None:
    """Enter a primitive: `fn` on arrays, and one vector-Jacobian product per array argument."""
    RULES[fn] = vjps


class _Each(Sequence[Rule]):
    """The rules of a primitive of any number of arguments: vjp(i, g, y, *arguments) for argument i."""

    def __init__(self, vjp: Rule) -> None:
        self.vjp = vjp

    def __getitem__(self, i: Any) -> Any:
        return partial(self.vjp, i)

    def __len__(self) -> int:
        return 1


# ---------------------------------------------------------------------------------------------- one argument

rule(np.positive, lambda g, y, x: g)
rule(np.negative, lambda g, y, x: -g)
rule(np.absolute, lambda g, y, x: g * np.sign(x))
rule(np.exp, lambda g, y, x: g * y)
rule(np.expm1, lambda g, y, x: g * np.exp(x))  # y + 1 would be 0 for x << 0
rule(np.log, lambda g, y, x: g / x)
rule(np.log1p, lambda g, y, x: g / (x + 1.0))
rule(np.sqrt, lambda g, y, x: g * 0.5 / y)
rule(np.square, lambda g, y, x: g * 2.0 * x)
rule(np.sin, lambda g, y, x: g * np.cos(x))
rule(np.cos, lambda g, y, x: -g * np.sin(x))
rule(np.sinh, lambda g, y, x: g * np.cosh(x))
rule(np.cosh, lambda g, y, x: g * np.sinh(x))
rule(np.tanh, lambda g, y, x: g * (1.0 - y * y))

# ---------------------------------------------------------------------------------------------- two arguments

rule(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
rule(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
rule(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
rule(np.true_divide, lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b)
rule(np.power, lambda g, y, x, p: g * p * _base(x, p) ** (p - 1), lambda g, y, x, p: g * y * _log(x))
rule(np.maximum, lambda g, y, a, b: _won(g, a, b), lambda g, y, a, b: _won(g, b, a))
rule(np.minimum, lambda g, y, a, b: _won(g, b, a), lambda g, y, a, b: _won(g, a, b))
rule(np.matmul, lambda g, y, a, b: _matmul_a(g, a, b), lambda g, y, a, b: _matmul_b(g, a, b))


def _base(x: Any, p: Any) -> Any:
    """x, but 1 where x**p is 0**0, so that p * x**(p - 1) is 0 there."""
    unsafe = (plain(x) == 0) & (plain(p) == 0)
    return np.where(unsafe, 1, x) if np.any(unsafe) else x


def _log(x: Any) -> Any:
    """log x, but 0 at 0, so that y * log x is 0 where y = 0**p."""
    if isinstance(x, (int, float)):
        return 0.0 if x == 0 else math.log(x) if x > 0 else math.nan
    return np.log(np.where(plain(x) == 0, 1, x))


def _won(g: Any, a: Any, b: Any) -> Any:
    """g where a > b, half of it where they are equal, else 0."""
    a, b = plain(a), plain(b)
    return np.where(a == b, g * 0.5, np.where(a > b, g, 0))


def _swap(x: Any) -> Any:
    return x.T if x.ndim == 2 else x.swapaxes(-1, -2)


def _matmul_a(g: Any, a: Any, b: Any) -> Any:
    if b.ndim == 1:
        return g[..., None] * b
    if a.ndim == 1:
        return (b @ g[..., None])[..., 0]
    return g @ _swap(b)


def _matmul_b(g: Any, a: Any, b: Any) -> Any:
    if a.ndim == 1:
        return a * g if b.ndim == 1 else a[:, None] * g[..., None, :]
    if b.ndim == 1:
        return (_swap(a) @ g[..., None])[..., 0]
    if b.ndim == 2 and a.ndim > 2:  # one large product instead of many that are then summed
        rows = math.prod(a.shape[:-1])  # not -1, which a matrix of no columns leaves open
        return a.reshape(rows, a.shape[-1]).T @ g.reshape(rows, g.shape[-1])
    return _swap(a) @ g


# ---------------------------------------------------------------------------------------------- choice


def _where(a: Any, b: Any, *, c: Any) -> Any:
    return np.where(c, a, b)


def _clip(x: Any, *, low: Any, high: Any) -> Any:
    return np.clip(x, low, high)


def _inside(x: Any, low: Any, high: Any) -> Any:
    inside = np.ones_like(x, dtype=bool)
    inside = inside if low is None else inside & (x >= low)
    return inside if high is None else inside & (x <= high)


rule(_where, lambda g, y, a, b, c: np.where(c, g, 0), lambda g, y, a, b, c: np.where(c, 0, g))
rule(_clip, lambda g, y, x, low, high: np.where(_inside(plain(x), low, high), g, 0))

# ---------------------------------------------------------------------------------------------- reductions


def _spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """g, of the shape of a reduction of x over axis, repeated over x's shape."""
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, x.shape)


def _attained(g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Equal shares of g to the elements of x that equal their maximum (or minimum) y."""
    x, y = plain(x), _spread(plain(y), x, axis, keepdims)
    attained = (x == y) | ((x != x) & (y != y))  # a NaN attains the NaN that it makes
    count = np.sum(attained, axis=axis, keepdims=True).astype(g.dtype)
    return np.where(attained, _spread(g, x, axis, keepdims) / count, 0)


def _root(x: Any) -> Any:
    """The square root that std is made of: its derivative at 0 is 0."""
    return np.sqrt(x)


def _inverse_or_0(y: Any) -> Any:
    zero = plain(y) == 0
    return np.where(zero, 0, 1.0 / np.where(zero, 1, y))


rule(np.sum, lambda g, y, x, axis, keepdims: _spread(g, x, axis, keepdims))
rule(np.max, lambda g, y, x, axis, keepdims: _attained(g, y, x, axis, keepdims))
rule(np.min, lambda g, y, x, axis, keepdims: _attained(g, y, x, axis, keepdims))
rule(np.cumsum, lambda g, y, x, axis: np.flip(np.cumsum(np.flip(g, axis), axis), axis))
rule(_root, lambda g, y, x: g * 0.5 * _inverse_or_0(y))

# ---------------------------------------------------------------------------------------------- shape and place


def _reshape(x: Any, *, shape: Any) -> Any:
    return np.reshape(x, shape)


def _astype(x: Any, *, dtype: Any) -> Any:
    return x.astype(dtype)


def _to(x: Any, *, device: str) -> Any:
    return devices.to(x, device)


def _moved(g: Any, device: str) -> Any:
    return g.to(device) if isinstance(g, Tensor) else devices.to(g, device)


def _getitem(x: Any, *, index: Any) -> Any:
    return x[index]


def _index_add(x: Any, *, index: Any, shape: tuple[int, ...]) -> Any:
    # C order, not that of x: it is seen flat below
    out = np.zeros_like(x, shape=shape, order="C") if shape else devices.number_like(x, 0)
    parts = index if isinstance(index, tuple) else (index,)
    if all(p is None or p is ... or isinstance(p, (int, np.integer, slice)) for p in parts):
        out[index] = x  # basic indexing names no element twice
    else:  # one flat index is five times as fast as whole rows
        places = np.arange(out.size, like=out).reshape(shape)[index]
        np.add.at(out.reshape(-1), places.reshape(-1), x.reshape(-1))
    return out


def _concatenate(*xs: Any, axis: int) -> Any:
    return np.concatenate(xs, axis)


def _piece(i: int, g: Any, y: Any, *xs: Any, axis: int) -> Any:
    start = sum(x.shape[axis] for x in xs[:i])
    return g[(slice(None),) * axis + (slice(start, start + xs[i].shape[axis]),)]


def _pad(x: Any, *, widths: Any, value: Any) -> Any:
    return np.pad(x, widths or 0, constant_values=value)  # no widths: 0-d


def _einsum(*xs: Any, subscripts: str) -> Any:
    return np.einsum(subscripts, *xs)


def _einsum_back(i: int, g: Any, y: Any, *xs: Any, subscripts: str) -> Any:
    """The product of g and the other operands, summed over the indices that operand i lacks."""
    terms, out = subscripts.split("->")
    inputs = terms.split(",")
    term, others = inputs[i], inputs[:i] + inputs[i + 1 :]
    known = set(out).union(*others)
    kept = "".join(s for s in term if s in known)
    h = np.einsum(",".join([out, *others]) + "->" + kept, g, *xs[:i], *xs[i + 1 :])
    sizes = dict(zip(kept, h.shape, strict=True))
    h = np.reshape(h, tuple(sizes.get(s, 1) for s in term))
    shape = ((sizes.get(s, 1), n) for s, n in zip(term, xs[i].shape, strict=True))
    return np.broadcast_to(h, tuple(n if size == 1 else size for size, n in shape))


rule(_reshape, lambda g, y, x, shape: np.reshape(g, x.shape))
rule(_astype, lambda g, y, x, dtype: g.astype(x.dtype))
rule(_to, lambda g, y, x, device: _moved(g, devices.device_of(plain(x))))
rule(_getitem, lambda g, y, x, index: _added(g, index, x.shape))
rule(_index_add, lambda g, y, x, index, shape: g[index])
rule(np.transpose, lambda g, y, x, axes: np.transpose(g, sorted(range(len(axes)), key=axes.__getitem__)))
rule(np.broadcast_to, lambda g, y, x, shape: g)
rule(_pad, lambda g, y, x, widths, value: g[tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape, strict=True))])
RULES[_concatenate] = _Each(_piece)
RULES[_einsum] = _Each(_einsum_back)


def index_add(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with x added at [index], repeated indices accumulating: the transpose of indexing.

    On a GPU the order in which they accumulate, and with it the last bits, varies from call to call.
    """
    return _added(x, devices.own_index(plain(index), plain(x), shape), shape)


def _added(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    return (
        apply(_index_add, x, index=index, shape=shape)
        if isinstance(x, Tensor)
        else _index_add(x, index=index, shape=shape)
    )


# ---------------------------------------------------------------------------------------------- activations


def _relu(x: Any) -> Any:
    return np.maximum(x, 0)


def _softmax(x: Any, *, axis: int) -> Any:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def _log_softmax(x: Any, *, axis: int) -> Any:
    z = x - np.max(x, axis=axis, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True))


rule(gates.sigmoid, lambda g, y, x: g * y * (1.0 - y))
rule(_relu, lambda g, y, x: np.where(plain(x) > 0, g, 0))
rule(_softmax, lambda g, y, x, axis: y * (g - np.sum(g * y, axis=axis, keepdims=True)))
rule(_log_softmax, lambda g, y, x, axis: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), elementwise, without overflow. An array or a Tensor of any shape; the same comes back."""
    return unary(gates.sigmoid, x) if isinstance(x, Tensor) else gates.sigmoid(x)


def relu(x: Any) -> Any:
    """max(x, 0), elementwise; the derivative at 0 is 0."""
    return unary(_relu, x) if isinstance(x, Tensor) else _relu(x)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) over axis, without overflow."""
    return apply(_softmax, x, axis=axis) if isinstance(x, Tensor) else _softmax(x, axis=axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x - log(sum(exp(x))) over axis, without overflow."""
    return apply(_log_softmax, x, axis=axis) if isinstance(x, Tensor) else _log_softmax(x, axis=axis)
