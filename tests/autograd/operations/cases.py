"""A table of the engine's operations: for each, a function, random arguments, and the judges that can check it.

The judges of a derivative are the complex step ("complex"), central differences ("differences", for every case) and
HIPS autograd ("hips"). Each row names its judges. The complex step needs a function that preserves the imaginary part.
HIPS autograd has no rule for flip and take, fails on broadcast_to and tile, and accepts only some arguments of other
functions.

`make(draw)` returns `f(np, *arrays)` and the arrays. `np` is NumPy, or HIPS's copy of it; the arrays are plain,
complex, or Tensors. Constants are in the closure of f, so that every array is an argument whose derivative is checked.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy
import numpy as np

from minirnn.autograd import ops
from minirnn.recurrent import sequence
from minirnn_kernels import gates
from tests.autograd.operations.draw import SHAPES, Draw

ALL = frozenset(("complex", "differences", "hips"))
NO_COMPLEX = ALL - {"complex"}
NO_HIPS = ALL - {"hips"}
ONLY_DIFFERENCES = frozenset(("differences",))


class OpCase(NamedTuple):
    name: str
    judges: frozenset[str]
    make: Callable[[Draw], tuple[Callable[..., Any], list[Any]]]


def own(function: Callable[..., Any], formula: Callable[..., Any]) -> Callable[..., Any]:
    """Return f(np, ...) that calls a function of minirnn, or its textbook formula for HIPS autograd."""
    return lambda np, *args: function(*args) if np is numpy else formula(np, *args)


def _log_softmax(np: Any, x: Any, axis: int) -> Any:
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


sigmoid = own(ops.sigmoid, lambda np, x: 1 / (1 + np.exp(-x)))
sigmoid_composed = own(gates.sigmoid, lambda np, x: 1 / (1 + np.exp(-x)))
relu = own(ops.relu, lambda np, x: np.maximum(x, 0))
softmax = own(ops.softmax, lambda np, x, axis: np.exp(_log_softmax(np, x, axis)))
log_softmax = own(ops.log_softmax, _log_softmax)


# ------------------------------------------------------------------------------------------ one argument


def elementwise(f: Callable[..., Any], values: Callable[..., Any]) -> Callable[[Draw], Any]:
    def make(d: Draw) -> Any:
        return f, [values(d, *d.shape())]

    return make


def _sized(d: Draw, *shape: int) -> Any:
    """Return values of both signs, some of them large."""
    return d.normal(*shape) * d.pick((1.0, 3.0))


def _near_0(d: Draw, *shape: int) -> Any:
    return np.asarray(d.rng.uniform(-0.6, 0.6, shape), d.dtype)


def _apart(d: Draw, *shape: int) -> Any:
    return d.distinct(shape)[0]


ONE = [
    OpCase("positive", ALL - {"hips"}, elementwise(lambda np, x: np.positive(x) * x, Draw.normal)),
    OpCase("negative", ALL, elementwise(lambda np, x: np.negative(x), Draw.normal)),
    OpCase("operator -", ALL, elementwise(lambda np, x: -x, Draw.normal)),
    OpCase("absolute", NO_COMPLEX, elementwise(lambda np, x: np.absolute(x), _apart)),
    OpCase("operator abs", NO_COMPLEX, elementwise(lambda np, x: abs(x), _apart)),
    OpCase("exp", ALL, elementwise(lambda np, x: np.exp(x), _sized)),
    OpCase("expm1", ALL, elementwise(lambda np, x: np.expm1(x), _near_0)),
    OpCase("log", ALL, elementwise(lambda np, x: np.log(x), Draw.positive)),
    OpCase("log1p", ALL, elementwise(lambda np, x: np.log1p(x), _near_0)),
    OpCase("sqrt", ALL, elementwise(lambda np, x: np.sqrt(x), Draw.positive)),
    OpCase("square", ALL, elementwise(lambda np, x: np.square(x), Draw.normal)),
    OpCase("operator **2", ALL, elementwise(lambda np, x: x**2, Draw.normal)),
    OpCase("sin", ALL, elementwise(lambda np, x: np.sin(x), _sized)),
    OpCase("cos", ALL, elementwise(lambda np, x: np.cos(x), _sized)),
    OpCase("sinh", ALL, elementwise(lambda np, x: np.sinh(x), Draw.normal)),
    OpCase("cosh", ALL, elementwise(lambda np, x: np.cosh(x), Draw.normal)),
    OpCase("tanh", ALL, elementwise(lambda np, x: np.tanh(x), _sized)),
    OpCase("sigmoid", ALL, elementwise(sigmoid, _sized)),
    OpCase("sigmoid composed", ALL, elementwise(sigmoid_composed, _sized)),
    OpCase("relu", ALL, elementwise(relu, _apart)),
]

# ------------------------------------------------------------------------------------------ two arguments


def pair(f: Callable[..., Any], a: Callable[..., Any], b: Callable[..., Any]) -> Callable[[Draw], Any]:
    """Return the case f(a, b) with broadcasting. One of the arguments can be a constant array or a number."""

    def make(d: Draw) -> Any:
        left, right = d.parts()
        x, y = a(d, *left), b(d, *right)
        constant = d.pick(("none", "none", "left", "right", "left number", "right number"))
        if constant.endswith("number"):
            c = float(d.positive())
            return (lambda np, y: f(np, c, y), [y]) if constant.startswith("left") else (lambda np, x: f(np, x, c), [x])
        if constant == "left":
            c = d.constant(x)
            return lambda np, y: f(np, c, y), [y]
        if constant == "right":
            c = d.constant(y)
            return lambda np, x: f(np, x, c), [x]
        return f, [x, y]

    return make


def pair_apart(f: Callable[..., Any]) -> Callable[[Draw], Any]:
    """Return the case f(a, b) of values without ties between a and b."""

    def make(d: Draw) -> Any:
        x, y = d.distinct(*d.parts())
        return (f, [x, y]) if d.pick((True, True, False)) else (lambda np, x: f(np, x, 0.0), [x])

    return make


def _matmul(f: Callable[..., Any]) -> Callable[[Draw], Any]:
    """Return the case of products of matrices and vectors, with batch axes that broadcast."""

    def make(d: Draw) -> Any:
        m, k, n = d.pick([(2, 3, 4), (3, 1, 2), (4, 2, 1), (1, 4, 3), (2, 0, 3), (0, 2, 3), (2, 3, 0)])
        stack = d.pick([(), (), (5,), (2, 5)])
        left, right = d.pick([((m, k), (k, n)), ((k,), (k, n)), ((m, k), (k,)), ((k,), (k,))])
        stack_a = d.part(stack) if len(left) == 2 else ()
        stack_b = d.part(stack) if len(right) == 2 else ()
        return f, [d.normal(*stack_a, *left), d.normal(*stack_b, *right)]

    return make


def _dot(d: Draw) -> Any:
    shapes = [((), (2, 3)), ((2, 3), ()), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((4, 2, 3), (3, 5))]
    shapes += [((2, 3), (4, 3, 5)), ((3,), (4, 3, 2)), ((2, 0), (0, 3))]
    a, b = d.pick(shapes)
    return lambda np, x, y: np.dot(x, y), [d.normal(*a), d.normal(*b)]


def _tensordot(d: Draw) -> Any:
    cases = [((2, 3), (3, 4), 1), ((2, 3), (2, 3), 2), ((2, 3), (4,), 0), ((2, 3, 4), (4, 3, 5), ([1, 2], [1, 0]))]
    cases += [((2, 3, 4), (3, 5), ([1], [0])), ((2, 3, 4), (5, 2), ((0,), (-1,))), ((2, 0), (0, 3), 1)]
    a, b, axes = d.pick(cases)
    return lambda np, x, y: np.tensordot(x, y, axes), [d.normal(*a), d.normal(*b)]


def _einsum(*cases: tuple[str, tuple[tuple[int, ...], ...]]) -> Callable[[Draw], Any]:
    def make(d: Draw) -> Any:
        subscripts, shapes = d.pick(cases)
        return lambda np, *xs: np.einsum(subscripts, *xs), [d.normal(*s) for s in shapes]

    return make


PRODUCTS_OF_INDICES = [
    ("ij,jk->ik", ((2, 3), (3, 4))),
    ("ij,jk", ((2, 3), (3, 4))),
    ("ij,kj->ki", ((2, 3), (4, 3))),
    ("bij,bjk->bik", ((5, 2, 3), (5, 3, 4))),
    ("i,j,k->kij", ((2,), (3,), (4,))),
    ("ij,j,i->", ((2, 3), (3,), (2,))),
    ("ij->ji", ((2, 3),)),
    ("ij->", ((2, 3),)),
    ("ij->j", ((2, 3),)),
    ("ji", ((2, 3),)),
    ("ij,kl->jl", ((2, 3), (4, 5))),
    ("...ij,...jk->...ik", ((5, 2, 3), (5, 3, 4))),
    ("...i,i", ((2, 3), (3,))),
    ("i...,j->j...", ((2, 3, 4), (5,))),
    ("...,...->...", ((), ())),
]
INDICES_HIPS_LACKS = [
    ("ii", ((3, 3),)),
    ("ii->i", ((3, 3),)),
    ("iij->ji", ((3, 3, 2),)),
    ("iji,j->i", ((3, 2, 3), (2,))),
    ("iii->i", ((2, 2, 2),)),
    ("...ij,...jk->...ik", ((5, 2, 3), (3, 4))),
    ("...i,...i->...", ((2, 1, 3), (4, 3))),
    ("ij,ij->ij", ((1, 3), (2, 3))),
    ("i,i->", ((1,), (3,))),
    ("i->", ((0,),)),
    ("ij,jk->ik", ((2, 0), (0, 3))),
    ("ij,jk->ik", ((0, 2), (2, 3))),
]


def _same(d: Draw) -> Any:
    return lambda np, x: x * x + np.matmul(x, x) * x - x / (x * x + 1), [d.normal(3, 3)]


def _outer(high: int) -> Callable[[Draw], Any]:
    return lambda d: (lambda np, x, y: np.outer(x, y), [d.normal(*d.shape(1, high)), d.normal(*d.shape(1, high))])


TWO = [
    OpCase("add", ALL, pair(lambda np, a, b: np.add(a, b), Draw.normal, Draw.normal)),
    OpCase("operator +", ALL, pair(lambda np, a, b: a + b, Draw.normal, Draw.normal)),
    OpCase("subtract", ALL, pair(lambda np, a, b: np.subtract(a, b), Draw.normal, Draw.normal)),
    OpCase("operator a - b", ALL, pair(lambda np, a, b: a - b, Draw.normal, Draw.normal)),
    OpCase("multiply", ALL, pair(lambda np, a, b: np.multiply(a, b), Draw.normal, Draw.normal)),
    OpCase("operator *", ALL, pair(lambda np, a, b: a * b, Draw.normal, Draw.normal)),
    OpCase("true_divide", ALL, pair(lambda np, a, b: np.true_divide(a, b), Draw.normal, Draw.nonzero)),
    OpCase("operator /", ALL, pair(lambda np, a, b: a / b, Draw.normal, Draw.nonzero)),
    OpCase("power", ALL, pair(lambda np, a, b: np.power(a, b), Draw.positive, Draw.normal)),
    OpCase("operator **", ALL, pair(lambda np, a, b: a**b, Draw.positive, Draw.normal)),
    OpCase("power 3", ALL, elementwise(lambda np, x: x**3, Draw.normal)),
    OpCase(
        "astype",
        ONLY_DIFFERENCES,
        elementwise(lambda np, x: x.astype(np.longdouble).astype(x.dtype) * x, Draw.normal),
    ),
    OpCase("power -2", ALL, elementwise(lambda np, x: x**-2.0, Draw.nonzero)),
    OpCase("maximum", ALL, pair_apart(lambda np, a, b: np.maximum(a, b))),
    OpCase("minimum", ALL, pair_apart(lambda np, a, b: np.minimum(a, b))),
    OpCase("matmul", ALL, _matmul(lambda np, a, b: np.matmul(a, b))),
    OpCase("operator @", ALL, _matmul(lambda np, a, b: a @ b)),
    OpCase("one Tensor in several places", ALL, _same),
]

# ------------------------------------------------------------------------------------------ choice


def _where(d: Draw) -> Any:
    shape = d.shape()
    a, b = d.part(shape), d.part(shape)
    c = d.constant(d.rng.random(d.part(shape)) < 0.5)
    number = float(d.normal())
    return d.pick(
        [
            (lambda np, x, y: np.where(c, x, y), [d.normal(*a), d.normal(*b)]),
            (lambda np, x: np.where(c, x, number), [d.normal(*a)]),
            (lambda np, y: np.where(c, 1.0, y), [d.normal(*b)]),
        ]
    )


def _clip(d: Draw) -> Any:
    (x,) = d.distinct(d.shape())
    low, high = d.pick([(-0.22, 0.21), (None, 0.13), (-0.11, None), (0.3, -0.3)])
    return lambda np, x: np.clip(x, low, high), [x]


def _clip_arrays(d: Draw) -> Any:
    shape = d.shape()
    x, low = d.distinct(d.part(shape), shape)
    low, high = d.constant(low), d.constant(low + 0.43)
    return lambda np, x: np.clip(x, low, high), [x]


CHOICE = [
    OpCase("where", NO_HIPS, _where),
    OpCase("where: one shape", ALL, elementwise(lambda np, x: np.where(x > 0, x * x, np.sin(x)), _apart)),
    OpCase("clip", ALL, _clip),
    OpCase("clip: bounds of arrays", NO_HIPS, _clip_arrays),
]

# ------------------------------------------------------------------------------------------ reductions


def reduction(f: Callable[..., Any], values: Callable[..., Any] = Draw.normal, empty: bool = True) -> Any:
    """Return the case f(np, x, axis=, keepdims=) over no, one or several axes."""

    def make(d: Draw) -> Any:
        x = values(d, *d.shape(empty=empty))
        axis, keepdims = d.axes(x.ndim), d.pick((False, True))
        return lambda np, x: f(np, x, axis=axis, keepdims=keepdims), [x]

    return make


def _spread(f: Callable[..., Any]) -> Callable[[Draw], Any]:
    """Return the case of a variance or standard deviation. Values differ, and axes have at least two elements."""

    def make(d: Draw) -> Any:
        ndim = d.pick((1, 2, 3))
        x = d.distinct(d.pick([s for s in SHAPES[ndim] if 1 not in s]))[0] * d.dtype(5)
        axis, keepdims, ddof = d.pick([None, 0, -1]), d.pick((False, True)), d.pick((0, 1))
        return lambda np, x: f(np, x, axis=axis, keepdims=keepdims, ddof=ddof), [x]

    return make


def _cumsum(d: Draw) -> Any:
    x = d.normal(*d.shape())
    axis = d.pick([None, *range(-x.ndim, x.ndim)])
    return lambda np, x: np.cumsum(x, axis), [x]


def _some_axis(f: Callable[..., Any]) -> Callable[[Draw], Any]:
    def make(d: Draw) -> Any:
        x = _sized(d, *d.shape(1, empty=False))
        axis = d.axis(x.ndim)
        return lambda np, x: f(np, x, axis), [x]

    return make


REDUCTIONS = [
    OpCase("sum", ALL, reduction(lambda np, x, **over: np.sum(x, **over))),
    OpCase("mean", ALL, reduction(lambda np, x, **over: np.mean(x, **over), empty=False)),
    OpCase("max", ALL, reduction(lambda np, x, **over: np.max(x, **over), _apart, empty=False)),
    OpCase("amax", ALL, reduction(lambda np, x, **over: np.amax(x, **over), _apart, empty=False)),
    OpCase("min", ALL, reduction(lambda np, x, **over: np.min(x, **over), _apart, empty=False)),
    OpCase("amin", ALL, reduction(lambda np, x, **over: np.amin(x, **over), _apart, empty=False)),
    OpCase("prod", ALL, reduction(lambda np, x, **over: np.prod(x, **over), Draw.nonzero)),
    OpCase("var", NO_COMPLEX, _spread(lambda np, x, **over: np.var(x, **over))),
    OpCase("std", NO_COMPLEX, _spread(lambda np, x, **over: np.std(x, **over))),
    OpCase("cumsum", ALL, _cumsum),
    OpCase("softmax", ALL, _some_axis(softmax)),
    OpCase("log_softmax", ALL, _some_axis(log_softmax)),
]

# ------------------------------------------------------------------------------------------ shape and place


def one_array(f: Callable[..., Any], *options: tuple[tuple[int, ...], Any]) -> Callable[[Draw], Any]:
    """Return the case f(np, x, argument). Each option is a shape of x and an argument."""

    def make(d: Draw) -> Any:
        shape, argument = d.pick(options)
        return lambda np, x: f(np, x, argument), [d.normal(*shape)]

    return make


def _transpose(d: Draw) -> Any:
    x = d.normal(*d.shape())
    axes = d.pick([None, *itertools.permutations(range(x.ndim)), tuple(range(-x.ndim, 0))])
    return lambda np, x: np.transpose(x, axes), [x]


def _swapaxes(d: Draw) -> Any:
    x = d.normal(*d.shape(1))
    i, j = d.axis(x.ndim), d.axis(x.ndim)
    return lambda np, x: np.swapaxes(x, i, j), [x]


def _moveaxis(d: Draw) -> Any:
    x = d.normal(*d.shape(3))
    source, target = d.pick([(0, 2), (-1, 0), (1, -1), ((0, 1), (2, 0)), ((2, 0), (0, 1))])
    return lambda np, x: np.moveaxis(x, source, target), [x]


def _broadcast_to(d: Draw) -> Any:
    shape = d.shape()
    return lambda np, x: np.broadcast_to(x, shape), [d.normal(*d.part(shape))]


def _flip(d: Draw) -> Any:
    x = d.normal(*d.shape())
    axis = d.axes(x.ndim)
    return lambda np, x: np.flip(x, axis), [x]


def _roll(d: Draw) -> Any:
    x = d.normal(*d.shape(1))
    axis, shift = d.pick([None, *range(-x.ndim, x.ndim)]), d.pick((-7, -1, 0, 1, 5))
    return lambda np, x: np.roll(x, shift, axis), [x]


def _pieces(f: Any, *places: Any) -> Callable[[Draw], Any]:
    """Return the case of a split whose pieces are multiplied by different factors and concatenated."""

    def make(d: Draw) -> Any:
        where, axis = d.pick(places), d.pick((0, 1, -1))
        shape = [2, 3, 5]
        shape[axis] = 6
        whole = lambda np, x: np.concatenate([p * k for k, p in enumerate(f(np, x, where, axis), 1)], axis)
        return whole, [d.normal(*shape)]

    return make


def _joined(f: Callable[..., Any], same: bool) -> Callable[[Draw], Any]:
    """Return the case f(arrays, axis) of one to three arrays and possibly a constant. same: all have one shape."""

    def make(d: Draw) -> Any:
        shape = list(d.shape(1))
        axis = d.axis(len(shape) + same) if same else d.axis(len(shape))
        xs = []
        for _ in range(d.pick((1, 2, 3))):
            if not same:
                shape[axis] = d.pick((1, 2, 3, 0))
            xs.append(d.normal(*shape))
        constant = [d.constant(d.normal(*shape))] if d.pick((False, True)) else []
        return lambda np, *xs: f(np, [*xs[:1], *constant, *xs[1:]], axis), xs

    return make


def _repeat(d: Draw) -> Any:
    x = d.normal(*d.shape(1))
    axis = d.pick([None, *range(-x.ndim, x.ndim)])
    n = x.size if axis is None else x.shape[axis]
    repeats = d.pick([0, 1, 3, d.rng.integers(0, 3, n)])
    return lambda np, x: np.repeat(x, repeats, axis), [x]


def _take(d: Draw) -> Any:
    x = d.normal(*d.shape(1, empty=False))
    axis = d.pick([None, *range(-x.ndim, x.ndim)])
    n = x.size if axis is None else x.shape[axis]
    indices = d.pick([0, -1, d.rng.integers(-n, n, 3), d.rng.integers(-n, n, (2, 5)), [0, n - 1, 0], np.zeros(0, int)])
    return lambda np, x: np.take(x, indices, axis), [x]


BASIC = [0, -1, slice(1, 3), slice(None, None, -2), (1, 2), (slice(None), -1), (..., 0), (None, 1, ..., None), ..., ()]
BASIC += [(slice(0, 0), 1), (1, 2, 3), slice(-2, None), (slice(None), None, slice(1, None, 2)), np.int64(1)]
ADVANCED = [[0, 0, 1], np.array([[2, 0], [2, 2]]), ([0, 1, 0], [1, 1, 1]), (slice(None), [0, 0]), ([1, 1], ..., [0, 0])]
ADVANCED += [(np.array([[0], [2]]), np.array([1, 1])), (0, slice(None), [3, 3]), np.zeros(0, int), np.array(1)]
ADVANCED += [np.arange(3) > 0, np.arange(12).reshape(3, 4) % 3 == 0, (slice(None), np.arange(4) > 1), True, np.False_]


def _index(*indices: Any) -> Callable[[Draw], Any]:
    def make(d: Draw) -> Any:
        index = indices[d.pick(range(len(indices)))]
        return lambda np, x: x[index], [d.normal(3, 4, 5)]

    return make


def _index_add(d: Draw) -> Any:
    shape = (3, 4)
    index = d.pick([0, [0, 0, 2], (slice(None), 1), ([0, 0], [1, 1]), np.array([[1, 1], [0, 1]])])
    return lambda np, x: ops.index_add(x, index, shape), [d.normal(*np.empty(shape)[index].shape)]


def _reverse(d: Draw) -> Any:
    lengths = d.pick([None, np.array([3, 1, 4])])
    return lambda np, x: sequence.reverse(x, lengths), [d.normal(4, 3, 2)]


def _sum_to(d: Draw) -> Any:
    shape = d.shape()
    part = d.part(shape)
    return lambda np, x: ops.sum_to(x, part), [d.normal(*shape)]


PLACES = [((6,), 2), ((3, 4), (1, 2)), ((2, 3), ((1, 0), (0, 2))), ((2, 3, 4), ((1, 2),)), ((), 1), ((0, 2), 1)]
REPEATS = [((2, 3), 2), ((2, 3), (2, 1)), ((3,), (2, 2)), ((2, 3), (2,)), ((), 3), ((), ()), ((2, 1, 3), (1, 4, 2))]
REPEATS += [((2, 3), 0), ((2, 3), np.array([1, 2])), ((0, 3), (2, 2))]
NEW_SHAPES = [
    ((2, 3), (3, 2)),
    ((2, 3, 4), (4, -1)),
    ((6,), 6),
    ((1,), ()),
    ((), (1, 1)),
    ((0, 3), (3, 0)),
    ((0, 3), -1),
]
NEW_AXES = [((2, 3), 0), ((2, 3), -1), ((2, 3), (0, 2)), ((2, 3), (-1, 0)), ((), 0), ((0, 2), 1)]
LONE_AXES = [
    ((1, 3), None),
    ((1, 3, 1), 0),
    ((1, 3, 1), -1),
    ((1, 3, 1), (0, 2)),
    ((1, 1), None),
    ((1, 0), 0),
    ((3,), None),
]
SHIFTS = [((3, 4), ((1, 2), (0, 1))), ((3, 4), ((1, 2), (0, 0))), ((3, 4), (1, (0, 1))), ((3, 4), ((-1, 2), 1))]

SHAPE_AND_PLACE = [
    OpCase("reshape", ALL, one_array(lambda np, x, shape: np.reshape(x, shape), *NEW_SHAPES)),
    OpCase("ravel", ALL, elementwise(lambda np, x: np.ravel(x), Draw.normal)),
    OpCase("expand_dims", ALL, one_array(lambda np, x, axis: np.expand_dims(x, axis), *NEW_AXES)),
    OpCase("squeeze", ALL, one_array(lambda np, x, axis: np.squeeze(x, axis), *LONE_AXES)),
    OpCase("transpose", ALL, _transpose),
    OpCase("swapaxes", ALL, _swapaxes),
    OpCase("moveaxis", ALL, _moveaxis),
    OpCase("broadcast_to", NO_HIPS, _broadcast_to),
    OpCase("index: basic", ALL, _index(*BASIC)),
    OpCase("index: advanced", ALL, _index(*ADVANCED)),
    OpCase("index_add", NO_HIPS, _index_add),
    OpCase("reverse", ALL, _reverse),
    OpCase("sum_to", NO_HIPS, _sum_to),
    OpCase("take", NO_HIPS, _take),
    OpCase("flip", NO_HIPS, _flip),
    OpCase("roll", ALL, _roll),
    OpCase("roll: several axes", NO_HIPS, one_array(lambda np, x, how: np.roll(x, *how), *SHIFTS)),
    OpCase("split", ALL, _pieces(lambda np, *args: np.split(*args), 1, 2, 3, [1], [2, 5], [0, 6])),
    OpCase("split: overlapping", NO_HIPS, _pieces(lambda np, *args: np.split(*args), [4, 1], [-2], [2, 2, 5])),
    OpCase("concatenate", ALL, _joined(lambda np, xs, axis: np.concatenate(xs, axis), same=False)),
    OpCase("concatenate: flat", NO_HIPS, _joined(lambda np, xs, axis: np.concatenate(xs, None), same=True)),
    OpCase("stack", ALL, _joined(lambda np, xs, axis: np.stack(xs, axis), same=True)),
    OpCase("repeat", NO_HIPS, _repeat),
    OpCase("tile", NO_HIPS, one_array(lambda np, x, reps: np.tile(x, reps), *REPEATS)),
    OpCase("pad", ALL, one_array(lambda np, x, widths: np.pad(x, widths, "constant"), *PLACES)),
    OpCase("pad: with a value", NO_HIPS, one_array(lambda np, x, n: np.pad(x, n, constant_values=1.5), *PLACES)),
]

PRODUCTS = [
    OpCase("dot", ALL, _dot),
    OpCase("tensordot", ALL, _tensordot),
    OpCase("outer", ALL, _outer(1)),
    OpCase("outer: matrices", NO_HIPS, _outer(2)),
    OpCase("einsum", ALL, _einsum(*PRODUCTS_OF_INDICES)),
    OpCase("einsum: diagonals, broadcasting, empty", NO_HIPS, _einsum(*INDICES_HIPS_LACKS)),
]

OPS = [*ONE, *TWO]
ARRAY_FUNCTIONS = [*CHOICE, *REDUCTIONS, *SHAPE_AND_PLACE, *PRODUCTS]
CASES = [*OPS, *ARRAY_FUNCTIONS]
