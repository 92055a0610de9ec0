"""The table of all operations of the graph: each primitive next to its derivative.

A rule is a vector-Jacobian product: `g` is the gradient of the result `y`, and the rule returns the gradient of one
argument. Rules are written with operators and NumPy functions, so that they run on arrays, and also on Tensors if the
gradient has to be differentiable. They do not undo broadcasting; the walk does that for all rules.

`array_functions.py` composes NumPy's other functions from these primitives.

Conventions where a function has no derivative: abs and relu: 0 at 0. maximum and minimum: half for each of two equal
arguments. max and min: equal shares for all elements that attain the value. clip: 1 at the bounds. sqrt: infinite at 0,
but std: 0 where all values are equal. power: x**0 has the derivative 0 in x also at 0, and 0**p has the derivative 0 in
p.
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
    """Add a NumPy function to the table, with one vector-Jacobian product per array argument."""
    RULES[fn] = vjps


def primitive(name: str, fn: Callable[..., Any], *vjps: Rule | None) -> Callable[..., Any]:
    """Add a function that NumPy does not have in this form to the table; return it under `name`.

    The array arguments are positional. Everything that has no gradient is a keyword argument.
    """
    fn.__name__ = fn.__qualname__ = name
    RULES[fn] = vjps
    return fn


class _ForEach(Sequence[Rule]):
    """The rules of a primitive with any number of arguments: vjp(i, g, y, *arguments) for argument i."""

    def __init__(self, vjp: Rule) -> None:
        self.vjp = vjp

    def __getitem__(self, i: Any) -> Any:
        return partial(self.vjp, i)

    def __len__(self) -> int:
        return 1


# ---------------------------------------------------------------------------------------------- one or two arguments

# function -> the vector-Jacobian product of its argument
ONE_ARGUMENT: dict[Callable[..., Any], Rule] = {
    np.positive: lambda g, y, x: g,
    np.negative: lambda g, y, x: -g,
    np.absolute: lambda g, y, x: g * np.sign(x),
    np.exp: lambda g, y, x: g * y,
    np.expm1: lambda g, y, x: g * np.exp(x),  # y + 1 would be 0 for x << 0
    np.log: lambda g, y, x: g / x,
    np.log1p: lambda g, y, x: g / (x + 1.0),
    np.sqrt: lambda g, y, x: g * 0.5 / y,
    np.square: lambda g, y, x: g * 2.0 * x,
    np.sin: lambda g, y, x: g * np.cos(x),
    np.cos: lambda g, y, x: -g * np.sin(x),
    np.sinh: lambda g, y, x: g * np.cosh(x),
    np.cosh: lambda g, y, x: g * np.sinh(x),
    np.tanh: lambda g, y, x: g * (1.0 - y * y),
}

# function -> the vector-Jacobian products of its arguments
TWO_ARGUMENTS: dict[Callable[..., Any], tuple[Rule, Rule]] = {
    np.add: (lambda g, y, a, b: g, lambda g, y, a, b: g),
    np.subtract: (lambda g, y, a, b: g, lambda g, y, a, b: -g),
    np.multiply: (lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    np.true_divide: (lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b),
    np.power: (lambda g, y, x, p: g * p * _base(x, p) ** (p - 1), lambda g, y, x, p: g * y * _log(x)),
    np.maximum: (lambda g, y, a, b: _won(g, a, b), lambda g, y, a, b: _won(g, b, a)),
    np.minimum: (lambda g, y, a, b: _won(g, b, a), lambda g, y, a, b: _won(g, a, b)),
    np.matmul: (lambda g, y, a, b: _matmul_a(g, a, b), lambda g, y, a, b: _matmul_b(g, a, b)),
}

RULES.update({fn: (vjp,) for fn, vjp in ONE_ARGUMENT.items()})
RULES.update(TWO_ARGUMENTS)


def _base(x: Any, p: Any) -> Any:
    """Return x, but 1 where x**p is 0**0, so that p * x**(p - 1) is 0 there."""
    unsafe = (plain(x) == 0) & (plain(p) == 0)
    return np.where(unsafe, 1, x) if np.any(unsafe) else x


def _log(x: Any) -> Any:
    """Return log x, but 0 at 0, so that y * log x is 0 where y = 0**p."""
    if isinstance(x, (int, float)):
        return 0.0 if x == 0 else math.log(x) if x > 0 else math.nan
    return np.log(np.where(plain(x) == 0, 1, x))


def _won(g: Any, a: Any, b: Any) -> Any:
    """Return g where a > b, half of it where they are equal, else 0."""
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
    if b.ndim == 2 and a.ndim > 2:  # one large product instead of a sum of many
        rows = math.prod(a.shape[:-1])  # not -1, which is ambiguous for a matrix without columns
        return a.reshape(rows, a.shape[-1]).T @ g.reshape(rows, g.shape[-1])
    return _swap(a) @ g


# ---------------------------------------------------------------------------------------------- choice

where = primitive(
    "where",
    lambda a, b, *, condition: np.where(condition, a, b),
    lambda g, y, a, b, condition: np.where(condition, g, 0),
    lambda g, y, a, b, condition: np.where(condition, 0, g),
)
clip = primitive(
    "clip",
    lambda x, *, low, high: np.clip(x, low, high),
    lambda g, y, x, low, high: np.where(_inside(plain(x), low, high), g, 0),
)


def _inside(x: Any, low: Any, high: Any) -> Any:
    """Return where low <= x <= high. A bound of None is no bound."""
    inside = np.ones_like(x, dtype=bool)
    inside = inside if low is None else inside & (x >= low)
    return inside if high is None else inside & (x <= high)


# ---------------------------------------------------------------------------------------------- reductions


def _spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Return g, which has the shape of a reduction of x over axis, repeated over the shape of x."""
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, x.shape)


def _attained(g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Return equal shares of g for the elements of x that equal the maximum (or minimum) y, and 0 for the others."""
    x, y = plain(x), _spread(plain(y), x, axis, keepdims)
    attained = (x == y) | ((x != x) & (y != y))  # a NaN in x makes y NaN, and attains it
    count = np.sum(attained, axis=axis, keepdims=True).astype(g.dtype)
    return np.where(attained, _spread(g, x, axis, keepdims) / count, 0)


def _inverse_or_0(y: Any) -> Any:
    """Return 1 / y, but 0 where y is 0."""
    zero = plain(y) == 0
    return np.where(zero, 0, 1.0 / np.where(zero, 1, y))


rule(np.sum, lambda g, y, x, axis, keepdims: _spread(g, x, axis, keepdims))
rule(np.max, lambda g, y, x, axis, keepdims: _attained(g, y, x, axis, keepdims))
rule(np.min, lambda g, y, x, axis, keepdims: _attained(g, y, x, axis, keepdims))
rule(np.cumsum, lambda g, y, x, axis: np.flip(np.cumsum(np.flip(g, axis), axis), axis))
root = primitive("root", lambda x: np.sqrt(x), lambda g, y, x: g * 0.5 * _inverse_or_0(y))

# ---------------------------------------------------------------------------------------------- shape and place


reshape = primitive("reshape", lambda x, *, shape: np.reshape(x, shape), lambda g, y, x, shape: np.reshape(g, x.shape))
astype = primitive("astype", lambda x, *, dtype: x.astype(dtype), lambda g, y, x, dtype: g.astype(x.dtype))
to = primitive(
    "to",
    lambda x, *, device: devices.to(x, device),
    lambda g, y, x, device: _moved(g, devices.device_of(plain(x))),
)
rule(np.transpose, lambda g, y, x, axes: np.transpose(g, sorted(range(len(axes)), key=axes.__getitem__)))
rule(np.broadcast_to, lambda g, y, x, shape: g)
getitem = primitive("getitem", lambda x, *, index: x[index], lambda g, y, x, index: _added(g, index, x.shape))
concatenate = primitive("concatenate", lambda *xs, axis: np.concatenate(xs, axis))
RULES[concatenate] = _ForEach(lambda i, g, y, *xs, axis: _piece(i, g, xs, axis))
pad = primitive(
    "pad",
    lambda x, *, widths, value: np.pad(x, widths or 0, constant_values=value),  # no widths: x is 0-d
    lambda g, y, x, widths, value: g[tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape, strict=True))],
)
einsum = primitive("einsum", lambda *xs, subscripts: np.einsum(subscripts, *xs))
RULES[einsum] = _ForEach(lambda i, g, y, *xs, subscripts: _einsum_gradient(i, g, xs, subscripts))


def _moved(g: Any, device: str) -> Any:
    return g.to(device) if isinstance(g, Tensor) else devices.to(g, device)


def _index_add(x: Any, *, index: Any, shape: tuple[int, ...]) -> Any:
    # C order, not the order of x: the result is flattened below
    out = np.zeros_like(x, shape=shape, order="C") if shape else devices.number_like(x, 0)
    parts = index if isinstance(index, tuple) else (index,)
    if all(p is None or p is ... or isinstance(p, (int, np.integer, slice)) for p in parts):
        out[index] = x  # basic indexing names no element twice
    else:  # one flat index is five times as fast as whole rows
        places = np.arange(out.size, like=out).reshape(shape)[index]
        np.add.at(out.reshape(-1), places.reshape(-1), x.reshape(-1))
    return out


rule(_index_add, lambda g, y, x, index, shape: g[index])


def _piece(i: int, g: Any, xs: Sequence[Any], axis: int) -> Any:
    """Return the part of g that belongs to argument i of a concatenation."""
    start = sum(x.shape[axis] for x in xs[:i])
    return g[(slice(None),) * axis + (slice(start, start + xs[i].shape[axis]),)]


def _einsum_gradient(i: int, g: Any, xs: Sequence[Any], subscripts: str) -> Any:
    """Return the product of g and the other operands, summed over the indices that operand i lacks."""
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


def index_add(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of `shape` with x added at [index]: the transpose of indexing. Repeated indices accumulate.

    On a GPU the order of the additions, and with it the last bits, varies from call to call.
    """
    return _added(x, devices.own_index(plain(index), plain(x), shape), shape)


def _added(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    add = partial(apply, _index_add) if isinstance(x, Tensor) else _index_add
    return add(x, index=index, shape=shape)


# ---------------------------------------------------------------------------------------------- activations


_relu = primitive("relu", lambda x: np.maximum(x, 0), lambda g, y, x: np.where(plain(x) > 0, g, 0))


def _softmax(x: Any, *, axis: int) -> Any:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def _log_softmax(x: Any, *, axis: int) -> Any:
    z = x - np.max(x, axis=axis, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True))


# For `nn.sigmoid`. The cells record the operations inside `gates.sigmoid`: the engine judges them independently.
rule(gates.sigmoid, lambda g, y, x: g * y * (1.0 - y))
rule(_softmax, lambda g, y, x, axis: y * (g - np.sum(g * y, axis=axis, keepdims=True)))
rule(_log_softmax, lambda g, y, x, axis: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True))


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), elementwise and without overflow. x is an array or a Tensor of any shape."""
    return unary(gates.sigmoid, x) if isinstance(x, Tensor) else gates.sigmoid(x)


def relu(x: Any) -> Any:
    """Return max(x, 0), elementwise. The derivative at 0 is 0."""
    return unary(_relu, x) if isinstance(x, Tensor) else _relu(x)


def softmax(x: Any, axis: int = -1) -> Any:
    """Return exp(x) / sum(exp(x)) over axis, without overflow."""
    return apply(_softmax, x, axis=axis) if isinstance(x, Tensor) else _softmax(x, axis=axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return x - log(sum(exp(x))) over axis, without overflow."""
    return apply(_log_softmax, x, axis=axis) if isinstance(x, Tensor) else _log_softmax(x, axis=axis)
