"""The judges of the engine check the results and the first and second derivatives of a case from cases.py.

Each judge raises an AssertionError that describes the difference. Derivatives are compared along random directions, one
per argument (with HIPS autograd: entry by entry), so that no structure of the gradient can hide an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn import Tensor, grad
from tests.autograd.operations.cases import OpCase
from tests.autograd.operations.draw import Draw

try:
    import autograd
    import autograd.numpy as hips_np
except ImportError:
    autograd = None

# Complex step and HIPS: only rounding errors of sums of a few dozen terms. Central differences of fourth order with a
# step of 1e-3: rounding eps / h = 2e-13; truncation h^4 / 30 times a fifth derivative of a few hundred: 1e-11.
EXACT, DIFFERENCES = 1e-10, 1e-8
COMPLEX_STEP, STEP = 1e-30, 1e-3
RTOL = {np.float32: 1e-5, np.float64: 1e-12}  # a few dozen rounding errors


def leaves(arrays: list[Any]) -> list[Tensor]:
    return [Tensor(a.copy(), requires_grad=True) for a in arrays]


def gradients(f: Callable[..., Any], arrays: list[Any], w: Any) -> list[Any]:
    """Return the engine's gradients of sum(w * f(arrays)). Assert that each is an array that shares no memory."""
    ts = leaves(arrays)
    upstream = w.copy()
    f(np, *ts).backward(upstream)
    others = [upstream, *(t.data for t in ts)]
    for t, a in zip(ts, arrays, strict=True):
        g = t.grad
        assert type(g) is np.ndarray
        assert g.shape == a.shape
        assert g.dtype == a.dtype
        assert g.flags.writeable
        assert g.flags.c_contiguous
        assert g.base is None
        assert not any(np.may_share_memory(g, o) for o in others), "a gradient shares memory"
        assert np.array_equal(t.data, a), "an argument was changed"
        others.append(g)
    assert np.array_equal(upstream, w), "the upstream was changed"
    return [t.grad for t in ts]


def forward(case: OpCase, draw: Draw) -> None:
    """Assert that the engine's result and dtype are NumPy's on plain arrays, and that gradients have the same dtype."""
    f, arrays = case.make(draw)
    expected = np.asarray(f(np, *arrays))
    for requires_grad in (False, True):
        y = f(np, *(Tensor(a, requires_grad=requires_grad) for a in arrays))
        assert type(y) is Tensor
        assert y.requires_grad == requires_grad
        assert type(y.data) is np.ndarray
        assert y.shape == expected.shape
        assert y.dtype == expected.dtype == draw.dtype
        rtol = RTOL[draw.dtype]
        np.testing.assert_allclose(y.data, expected, rtol, rtol * np.max(np.abs(expected), initial=0))
    gradients(f, arrays, np.ones_like(expected))


def _moved(arrays: list[Any], k: int, step: Any) -> list[Any]:
    return [a + step if i == k else a for i, a in enumerate(arrays)]


def central(f: Callable[[Any], float], h: float = STEP) -> float:
    """Return f'(0), approximated by the central difference of fourth order."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def _agree(judge: str, k: int, engine: Any, other: Any, scale: float, tolerance: float) -> None:
    error = float(np.max(np.abs(engine - other), initial=0))
    assert error <= tolerance * scale, f"{judge}, argument {k}: engine {engine}, {judge} {other}, error {error}"


def first(case: OpCase, draw: Draw) -> None:
    """Compare the gradient for a random upstream gradient with every judge that the case names."""
    f, arrays = case.make(draw)
    w = draw.normal(*np.shape(f(np, *arrays)))
    found = gradients(f, arrays, w)
    for k, (a, g) in enumerate(zip(arrays, found, strict=True)):
        v = draw.rng.uniform(-1, 1, a.shape)
        engine, scale = np.sum(g * v), 1 + np.sum(np.abs(g * v))
        if "complex" in case.judges:
            y = f(np, *_moved(arrays, k, 1j * COMPLEX_STEP * v))
            assert np.iscomplexobj(y), "the function drops the imaginary part"
            _agree("complex step", k, engine, np.sum(w * y.imag) / COMPLEX_STEP, scale, EXACT)
        slope = central(lambda s, k=k, v=v: np.sum(w * f(np, *_moved(arrays, k, s * v))))
        _agree("central differences", k, engine, slope, scale, DIFFERENCES)
    if hips_applies(case, arrays):
        vjp, _ = autograd.make_vjp(lambda xs: f(hips_np, *xs))(tuple(arrays))
        for k, (g, h) in enumerate(zip(found, vjp(w), strict=True)):
            _agree("HIPS autograd", k, g, h, 1 + np.max(np.abs(g), initial=0), EXACT)


def layouts(case: OpCase, draw: Draw) -> None:
    """Assert that the gradient does not depend on the memory layout of the arguments and of the upstream gradient."""
    f, arrays = case.make(draw)
    w = draw.normal(*np.shape(f(np, *arrays)))
    expected = gradients(f, arrays, w)
    ts = [Tensor(a.copy("F"), requires_grad=True) for a in arrays]
    (np.transpose(f(np, *ts)) * w.T.copy()).sum().backward()  # the upstream gradient of f is in Fortran order
    for k, (t, g) in enumerate(zip(ts, expected, strict=True)):
        _agree("another layout", k, t.grad, g, 1 + np.max(np.abs(g), initial=0), EXACT)


def second(case: OpCase, draw: Draw) -> None:
    """Check the gradient of <u, gradient> for random u, with respect to the arguments and to the upstream gradient."""
    f, arrays = case.make(draw)
    w = draw.normal(*np.shape(f(np, *arrays)))
    us = [draw.normal(*a.shape) for a in arrays]
    *found, to_upstream = _second_of_engine(f, arrays, w, us)

    def inner(arrays: list[Any], w: Any) -> float:
        return sum(np.sum(u * g) for u, g in zip(us, gradients(f, arrays, w), strict=True))

    v = draw.normal(*w.shape)  # <u, gradient> is linear in the upstream gradient
    _agree("linearity", -1, np.sum(to_upstream * v), inner(arrays, v), 1 + np.sum(np.abs(to_upstream * v)), EXACT)
    for k, (a, g) in enumerate(zip(arrays, found, strict=True)):
        v = draw.rng.uniform(-1, 1, a.shape)
        slope = central(lambda s, k=k, v=v: inner(_moved(arrays, k, s * v), w))
        _agree("differences of the first", k, np.sum(g * v), slope, 1 + np.sum(np.abs(g * v)), DIFFERENCES)
    if hips_applies(case, arrays):
        for k, (g, h) in enumerate(zip(found, _second_of_hips(f, arrays, w, us), strict=True)):
            _agree("HIPS autograd, twice", k, g, h, 1 + np.max(np.abs(g), initial=0), EXACT)


def _second_of_engine(f: Callable[..., Any], arrays: list[Any], w: Any, us: list[Any]) -> list[Any]:
    ts, upstream = leaves(arrays), Tensor(w, requires_grad=True)
    gs = grad(f(np, *ts), ts, upstream, create_graph=True)
    for g, a in zip(gs, arrays, strict=True):
        assert g.shape == a.shape
        assert g.dtype == a.dtype
    everything = [*ts, upstream]
    tie = sum((t * 0.0).sum() for t in everything)  # a gradient that doesn't depend on t has the derivative 0
    total = sum((u * g).sum() for u, g in zip(us, gs, strict=True)) + tie
    return [g.data for g in grad(total, everything)]


def _second_of_hips(f: Callable[..., Any], arrays: list[Any], w: Any, us: list[Any]) -> Any:
    def inner(xs: Any) -> Any:
        vjp, _ = autograd.make_vjp(lambda xs: f(hips_np, *xs))(xs)
        # 0 * x: a gradient that doesn't depend on x is an error in HIPS autograd
        return sum(hips_np.sum(u * g) + hips_np.sum(0 * x) for u, g, x in zip(us, vjp(w), xs, strict=True))

    return autograd.grad(inner)(tuple(arrays))


def hips_applies(case: OpCase, arrays: list[Any]) -> bool:
    """Return True if HIPS autograd is installed and has the function's rule, and no argument is empty."""
    return autograd is not None and "hips" in case.judges and all(a.size for a in arrays)


JUDGES = {"forward": forward, "first derivative": first, "second derivative": second}
