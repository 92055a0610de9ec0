"""Every operation of the engine as a case: a function, arguments drawn for it, and the judges that can say if it is right.

The judges of a derivative are the complex step ("complex"), central differences ("differences", for every case) and HIPS
autograd ("hips"). A case that lacks one says so in its row: the complex step needs a function that carries the
imaginary part through; HIPS autograd has no rule for flip and take, raises on broadcast_to and tile, and takes only
some arguments of others.

`make(draw)` gives `f(np, *arrays)` and the arrays. `np` is NumPy, or HIPS's copy of it; the arrays are plain, complex,
or Tensors. Whatever isn't differentiated is in the closure of f, so that every array given is an argument to be judged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from minirnn import ops
from minirnn_kernels import gates

ALL = frozenset(("complex", "differences", "hips"))
NO_COMPLEX = ALL - {"complex"}
NO_HIPS = ALL - {"hips"}
ONLY_DIFFERENCES = frozenset(("differences",))


def _shapes(ndim: int) -> list[tuple[int, ...]]:
    """Distinct lengths in any order, then those with one axis of length 1."""
    plain = list(itertools.permutations((2, 3, 4), ndim))
    return plain + [s[:i] + (1,) + s[i + 1 :] for s in plain for i in range(ndim)]


SHAPES = {n: list(dict.fromkeys(_shapes(n))) for n in range(4)}
EMPTY = [(0,), (0, 3), (2, 0), (2, 0, 3)]


class Draw:
    """Shapes, axes and values for a case. `pick` chooses from a list: Hypothesis, or a seeded generator."""

    def __init__(self, pick: Callable[[Sequence[Any]], Any], rng: np.random.Generator) -> None:
        self.pick, self.rng = pick, rng

    @classmethod
    def hypothesis(cls, data: st.DataObject) -> Draw:
        pick = lambda options: data.draw(st.sampled_from(options))
        return cls(pick, np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed")))

    @classmethod
    def seeded(cls, seed: int) -> Draw:
        rng = np.random.default_rng(seed)
        return cls(lambda options: options[rng.integers(len(options))], rng)

    # -- shapes

    def shape(self, low: int = 0, high: int = 3, empty: bool = True) -> tuple[int, ...]:
        options = [s for n in range(low, high + 1) for s in SHAPES[n]]
        return self.pick(options + [s for s in EMPTY if empty and low <= len(s) <= high])

    def part(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to `shape`: leading axes missing, others of length 1."""
        missing = self.pick(range(len(shape) + 1)) if self.pick((False, True)) else 0
        return tuple(1 if self.pick((False, False, True)) else n for n in shape[missing:])

    def parts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        shape = self.shape()
        return self.pick([(shape, self.part(shape)), (self.part(shape), shape), (self.part(shape), self.part(shape))])

    def axis(self, ndim: int) -> int:
        return self.pick(range(-ndim, ndim))

    def axes(self, ndim: int) -> Any:
        """None, one axis, or several."""
        several = list(itertools.permutations(range(ndim), 2)) + [(-1, 0)] * (ndim > 1) + [()]
        return self.pick([None, *range(-ndim, ndim), *several])

    # -- values

    def normal(self, *shape: int) -> Any:
        return self.rng.normal(size=shape)

    def positive(self, *shape: int) -> Any:
        return self.rng.uniform(0.5, 2.0, shape)

    def nonzero(self, *shape: int) -> Any:
        return self.positive(*shape) * self.rng.choice([-1.0, 1.0], shape)

    def distinct(self, *shapes: tuple[int, ...]) -> list[Any]:
        """Arrays of these shapes, all values at least 0.1 apart and at least 0.05 from 0: no ties within a step."""
        sizes = [int(np.prod(s)) for s in shapes]
        values = (self.rng.permutation(sum(sizes)) - sum(sizes) // 2 + 0.5) * 0.1
        cuts = np.cumsum([0, *sizes])
        return [values[a:b].reshape(s) for a, b, s in zip(cuts, cuts[1:], shapes, strict=True)]


class Case(NamedTuple):
    name: str
    judges: frozenset[str]
    make: Callable[[Draw], tuple[Callable[..., Any], list[Any]]]
    peer: Callable[..., Any] | None = None  # f in HIPS's vocabulary, where f itself is not


# ------------------------------------------------------------------------------------------ one argument


def elementwise(f: Callable[..., Any], values: Callable[..., Any]) -> Callable[[Draw], Any]:
    def make(d: Draw) -> Any:
        return f, [values(d, *d.shape())]

    return make


def _sized(d: Draw, *shape: int) -> Any:
    """Any sign, some large."""
    return d.normal(*shape) * d.pick((1.0, 3.0))


def _near_0(d: Draw, *shape: int) -> Any:
    return d.normal(*shape) * 0.3


def _apart(d: Draw, *shape: int) -> Any:
    return d.distinct(shape)[0]


ONE = [
    Case("positive", ALL - {"hips"}, elementwise(lambda np, x: np.positive(x) * x, Draw.normal)),
    Case("negative", ALL, elementwise(lambda np, x: np.negative(x), Draw.normal)),
    Case("operator -", ALL, elementwise(lambda np, x: -x, Draw.normal)),
    Case("absolute", NO_COMPLEX, elementwise(lambda np, x: np.absolute(x), _apart)),
    Case("operator abs", NO_COMPLEX, elementwise(lambda np, x: abs(x), _apart)),
    Case("exp", ALL, elementwise(lambda np, x: np.exp(x), _sized)),
    Case("expm1", ALL, elementwise(lambda np, x: np.expm1(x), _near_0)),
    Case("log", ALL, elementwise(lambda np, x: np.log(x), Draw.positive)),
    Case("log1p", ALL, elementwise(lambda np, x: np.log1p(x), _near_0), lambda np, x: np.log(1 + x)),
    Case("sqrt", ALL, elementwise(lambda np, x: np.sqrt(x), Draw.positive)),
    Case("square", ALL, elementwise(lambda np, x: np.square(x), Draw.normal)),
    Case("operator **2", ALL, elementwise(lambda np, x: x**2, Draw.normal)),
    Case("sin", ALL, elementwise(lambda np, x: np.sin(x), _sized)),
    Case("cos", ALL, elementwise(lambda np, x: np.cos(x), _sized)),
    Case("sinh", ALL, elementwise(lambda np, x: np.sinh(x), Draw.normal)),
    Case("cosh", ALL, elementwise(lambda np, x: np.cosh(x), Draw.normal)),
    Case("tanh", ALL, elementwise(lambda np, x: np.tanh(x), _sized)),
    Case("sigmoid", ALL, elementwise(lambda np, x: ops.sigmoid(x), _sized), lambda np, x: 1 / (1 + np.exp(-x))),
    Case("sigmoid composed", ALL, elementwise(lambda np, x: gates.sigmoid(x), _sized), lambda np, x: 1 / (1 + np.exp(-x))),
    Case("relu", ALL, elementwise(lambda np, x: ops.relu(x), _apart), lambda np, x: np.maximum(x, 0)),
]

# ------------------------------------------------------------------------------------------ two arguments


def pair(f: Callable[..., Any], a: Callable[..., Any], b: Callable[..., Any]) -> Callable[[Draw], Any]:
    """f(a, b) with broadcasting; both arguments judged, or one of them with the other a constant array or number."""

    def make(d: Draw) -> Any:
        left, right = d.parts()
        x, y = a(d, *left), b(d, *right)
        constant = d.pick(("none", "none", "left", "right", "left number", "right number"))
        if constant.endswith("number"):
            c = float(d.positive())
            return (
                (lambda np, y: f(np, c, y), [y]) if constant.startswith("left") else (lambda np, x: f(np, x, c), [x])
            )
        if constant == "left":
            return lambda np, y: f(np, x, y), [y]
        if constant == "right":
            return lambda np, x: f(np, x, y), [x]
        return f, [x, y]

    return make


def pair_apart(f: Callable[..., Any]) -> Callable[[Draw], Any]:
    """f(a, b) of values with no ties between a and b."""

    def make(d: Draw) -> Any:
        x, y = d.distinct(*d.parts())
        return (f, [x, y]) if d.pick((True, True, False)) else (lambda np, x: f(np, x, 0.0), [x])

    return make


def _matmul(f: Callable[..., Any]) -> Callable[[Draw], Any]:
    """Products of matrices and vectors, in stacks that broadcast."""

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


def _outer(d: Draw) -> Any:
    return lambda np, x, y: np.outer(x, y), [d.normal(*d.shape(1, 2)), d.normal(*d.shape(1, 2))]


TWO = [
    Case("add", ALL, pair(lambda np, a, b: np.add(a, b), Draw.normal, Draw.normal)),
    Case("operator +", ALL, pair(lambda np, a, b: a + b, Draw.normal, Draw.normal)),
    Case("subtract", ALL, pair(lambda np, a, b: np.subtract(a, b), Draw.normal, Draw.normal)),
    Case("operator a - b", ALL, pair(lambda np, a, b: a - b, Draw.normal, Draw.normal)),
    Case("multiply", ALL, pair(lambda np, a, b: np.multiply(a, b), Draw.normal, Draw.normal)),
    Case("operator *", ALL, pair(lambda np, a, b: a * b, Draw.normal, Draw.normal)),
    Case("true_divide", ALL, pair(lambda np, a, b: np.true_divide(a, b), Draw.normal, Draw.nonzero)),
    Case("operator /", ALL, pair(lambda np, a, b: a / b, Draw.normal, Draw.nonzero)),
    Case("power", ALL, pair(lambda np, a, b: np.power(a, b), Draw.positive, Draw.normal)),
    Case("operator **", ALL, pair(lambda np, a, b: a**b, Draw.positive, Draw.normal)),
    Case("power 3", ALL, elementwise(lambda np, x: x**3, Draw.normal)),
    Case("power -2", ALL, elementwise(lambda np, x: x**-2.0, Draw.nonzero)),
    Case("maximum", ALL, pair_apart(lambda np, a, b: np.maximum(a, b))),
    Case("minimum", ALL, pair_apart(lambda np, a, b: np.minimum(a, b))),
    Case("matmul", ALL, _matmul(lambda np, a, b: np.matmul(a, b))),
    Case("operator @", ALL, _matmul(lambda np, a, b: a @ b)),
    Case("one Tensor in several places", ALL, _same),
    Case("dot", ALL, _dot),
    Case("tensordot", ALL, _tensordot),
    Case("outer", ALL, _outer),
    Case("einsum", ALL, _einsum(*PRODUCTS_OF_INDICES)),
    Case("einsum: diagonals, broadcasting, empty", NO_HIPS, _einsum(*INDICES_HIPS_LACKS)),
]

# ------------------------------------------------------------------------------------------ choice


def _where(d: Draw) -> Any:
    shape = d.shape()
    a, b = d.part(shape), d.part(shape)
    c = d.rng.random(d.part(shape)) < 0.5
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
    return lambda np, x: np.clip(x, low, low + 0.43), [x]


CHOICE = [
    Case("where", ALL, _where),
    Case("clip", ALL, _clip),
    Case("clip: bounds of arrays", NO_HIPS, _clip_arrays),
]

# ------------------------------------------------------------------------------------------ reductions


def reduction(f: Callable[..., Any], values: Callable[..., Any] = Draw.normal, empty: bool = True) -> Any:
    """f(np, x, axis=, keepdims=) over no, one or several axes."""

    def make(d: Draw) -> Any:
        x = values(d, *d.shape(empty=empty))
        axis, keepdims = d.axes(x.ndim), d.pick((False, True))
        return lambda np, x: f(np, x, axis=axis, keepdims=keepdims), [x]

    return make


def _spread(f: Callable[..., Any]) -> Callable[[Draw], Any]:
    """Variance and deviation, of values that differ over axes of at least two elements."""

    def make(d: Draw) -> Any:
        ndim = d.pick((1, 2, 3))
        x = d.distinct(d.pick([s for s in SHAPES[ndim] if 1 not in s]))[0]
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


def _peer_log_softmax(np: Any, x: Any, axis: int) -> Any:
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


REDUCTIONS = [
    Case("sum", ALL, reduction(lambda np, x, **over: np.sum(x, **over))),
    Case("mean", ALL, reduction(lambda np, x, **over: np.mean(x, **over), empty=False)),
    Case("max", ALL, reduction(lambda np, x, **over: np.max(x, **over), _apart, empty=False)),
    Case("amax", ALL, reduction(lambda np, x, **over: np.amax(x, **over), _apart, empty=False)),
    Case("min", ALL, reduction(lambda np, x, **over: np.min(x, **over), _apart, empty=False)),
    Case("amin", ALL, reduction(lambda np, x, **over: np.amin(x, **over), _apart, empty=False)),
    Case("prod", ALL, reduction(lambda np, x, **over: np.prod(x, **over), Draw.nonzero)),
    Case("var", NO_COMPLEX, _spread(lambda np, x, **over: np.var(x, **over))),
    Case("std", NO_COMPLEX, _spread(lambda np, x, **over: np.std(x, **over))),
    Case("cumsum", ALL, _cumsum),
    Case(
        "softmax",
        ALL,
        _some_axis(lambda np, x, axis: ops.softmax(x, axis) if np is not HIPS else np.exp(_peer_log_softmax(np, x, axis))),
    ),
    Case(
        "log_softmax",
        ALL,
        _some_axis(lambda np, x, axis: ops.log_softmax(x, axis) if np is not HIPS else _peer_log_softmax(np, x, axis)),
    ),
]
