"""Tests of the explicit vectors: the accuracy of the activations, also at the ends of the range."""

import math
from fractions import Fraction

import numba
import numpy as np
import pytest

from minirnn_kernels.cpu.emit import vectors
from minirnn_kernels.cpu.emit.intrinsics import at, lanes, sigmoid, tanh

pytestmark = [
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NUMBA_DISABLE_JIT is set"),
    pytest.mark.xdist_group("numba"),  # one worker compiles
]


@numba.njit
def each_sigmoid(a):
    for k in range(0, a.shape[1], lanes(a)):
        place = (at(a, 0, k),)
        sigmoid(a, a.shape[1] - k, place, place)


@numba.njit
def each_tanh(a):
    for k in range(0, a.shape[1], lanes(a)):
        place = (at(a, 0, k),)
        tanh(a, a.shape[1] - k, place, place)


def all_sigmoid(a):
    each_sigmoid(a.reshape(1, -1))


def all_tanh(a):
    each_tanh(a.reshape(1, -1))


# ---- activations: at most 3 units in the last place in float32, 4 in float64; subnormal results are excluded


@pytest.mark.parametrize(("dtype", "exact", "ulps"), [(np.float32, np.float64, 3), (np.float64, np.longdouble, 4)])
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_activations_are_accurate_over_the_whole_range(name, dtype, exact, ulps):
    if np.finfo(exact).eps >= np.finfo(dtype).eps:
        pytest.skip("no wider type to compare with")
    rng = np.random.default_rng(0)
    top = 90 if dtype == np.float32 else 720
    sizes = 2.0 ** rng.uniform(-30, 10, 100_000)
    x = np.concatenate([sizes, -sizes, rng.uniform(-top, top, 200_000), rng.uniform(-1, 1, 200_000)]).astype(dtype)
    wide = x.astype(exact)
    with np.errstate(over="ignore", under="ignore"):
        expected = np.tanh(wide) if name == "tanh" else 1 / (1 + np.exp(-wide))
    got = x.copy()
    (all_tanh if name == "tanh" else all_sigmoid)(got)
    normal = np.abs(expected) >= np.finfo(dtype).tiny
    ulp = np.spacing(np.abs(expected).astype(dtype)).astype(exact)
    error = np.abs(got - expected)[normal] / ulp[normal]
    assert np.isfinite(got).all()
    assert error.max() <= ulps
    assert np.abs(got[~normal]).max(initial=0) <= np.finfo(dtype).tiny * 2


def interpolated(n):
    """Return the coefficients, from r^0 on, of the polynomial that equals (e^r - 1 - r) / r^2 at n Chebyshev points."""
    points = [Fraction(math.log(2) / 2 * math.cos(math.pi * (2 * k + 1) / (2 * n))) for k in range(n)]
    values = [sum(r**k / math.factorial(k + 2) for k in range(25)) for r in points]
    for j in range(1, n):  # Newton's divided differences
        for k in range(n - 1, j - 1, -1):
            values[k] = (values[k] - values[k - 1]) / (points[k] - points[k - j])
    terms = [Fraction(0)] * n
    for value, r in zip(reversed(values), reversed(points), strict=True):  # terms = terms * (x - r) + value
        terms = [low - r * term for low, term in zip([Fraction(0), *terms], terms, strict=False)]
        terms[0] += value
    return [float(term) for term in terms]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_series_of_the_exponential_is_what_is_said_of_it(dtype):
    terms = vectors.SERIES[dtype]
    np.testing.assert_allclose(terms, interpolated(len(terms)), rtol=1e-15)
    eps, worst = np.finfo(dtype).eps / 2, Fraction(0)
    terms = [Fraction(float(np.dtype(dtype).type(term))) for term in terms]
    for k in range(-100, 101):
        r = Fraction(k, 100) * Fraction(math.log(2) / 2)
        exact = sum(r**j / math.factorial(j) for j in range(25))
        ours = 1 + r + r * r * sum(term * r**j for j, term in enumerate(terms))
        worst = max(worst, abs(ours - exact) / exact)
    assert worst < eps / 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_at_the_ends(dtype):
    n = vectors.lanes(dtype)
    x = np.resize(np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], dtype), 8 * n)
    for function, ends in ((all_sigmoid, [1, 0, np.nan, 0.5, 0.5]), (all_tanh, [1, -1, np.nan, 0, 0])):
        got = x.copy()
        function(got)
        np.testing.assert_array_equal(got, np.resize(np.array(ends, dtype), 8 * n))
    got = x.copy()
    all_tanh(got)
    assert np.array_equal(np.signbit(got[3:5]), [False, True])
