"""The derivative of every primitive against independent judges, the conventions at kinks, and planted errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn import Tensor, detect_anomaly, grad
from minirnn.autograd import ops
from minirnn.autograd.graph import RULES, name_of
from minirnn.autograd.tensor import FUNCTIONS
from tests.autograd import planted
from tests.autograd.operations.cases import CASES, OPS
from tests.autograd.operations.draw import Draw
from tests.autograd.operations.judges import autograd, central, first, forward, layouts, second

each_op = pytest.mark.parametrize("case", OPS, ids=lambda case: case.name)


@each_op
@given(data=st.data())
def test_forward_is_numpys(case, data):
    forward(case, Draw.hypothesis(data, data.draw(st.sampled_from((np.float32, np.float64)))))


@each_op
@given(data=st.data())
def test_first_derivative(case, data):
    first(case, Draw.hypothesis(data))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@given(data=st.data())
def test_memory_layout(case, data):
    layouts(case, Draw.hypothesis(data))


@each_op
@given(data=st.data())
def test_second_derivative(case, data):
    second(case, Draw.hypothesis(data))


@pytest.mark.skipif(autograd is None, reason="HIPS autograd isn't installed: its comparisons were skipped")
def test_hips_autograd_judges_at_least_50_cases():
    assert sum("hips" in case.judges for case in CASES) >= 50


# ------------------------------------------------------------------------------------------ orders above the second


@pytest.mark.parametrize(
    ("f", "third"),
    [
        (np.tanh, lambda x: -2 * (1 - np.tanh(x) ** 2) * (1 - 3 * np.tanh(x) ** 2)),
        (np.sin, lambda x: -np.cos(x)),
        (lambda x: x**4.5, lambda x: 4.5 * 3.5 * 2.5 * x**1.5),
        (lambda x: 1 / x, lambda x: -6 / x**4),
        (lambda x: 2.0**x, lambda x: np.log(2) ** 3 * 2.0**x),
        (np.sqrt, lambda x: 0.375 * x**-2.5),
        (ops.sigmoid, lambda x: (s := ops.sigmoid(x)) * (1 - s) * (1 - 6 * s + 6 * s * s)),
    ],
    ids=["tanh", "sin", "x**4.5", "1/x", "2**x", "sqrt", "sigmoid"],
)
def test_third_derivative_is_the_closed_form(f, third):
    x = Tensor(np.array([0.3, 0.8, 1.7]), requires_grad=True)
    y = f(x)
    for _ in range(3):
        (y,) = grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(y.data, third(x.data), rtol=1e-12)


def test_third_derivative_of_a_composition_is_the_difference_of_second_ones():
    rng = np.random.default_rng(5)
    at, w, v = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=(3, 4))

    def along(x, order):
        """Return the engine's derivative, of this order and along v, of a scalar function of x."""
        t = Tensor(x, requires_grad=True)
        y = (np.std(np.tanh(t @ w), axis=1) * np.max(ops.log_softmax(t), axis=1)).sum()
        for _ in range(order):
            (g,) = grad(y, t, create_graph=True)
            y = (g * v).sum()
        return y.item()

    for order in (1, 2, 3):
        slope = central(lambda h, n=order - 1: along(at + h * v, n))
        assert abs(along(at, order) - slope) <= 1e-7 * (1 + abs(slope))


# ------------------------------------------------------------------------------------------ kinks, and NaN traps


def gradient(f, *arrays):
    """Return the gradients of sum(f(arrays)). The gradients with create_graph=True must be equal."""
    ts = [Tensor(np.array(a, float), requires_grad=True) for a in arrays]
    f(*ts).sum().backward()
    again = grad(f(*ts).sum(), ts, create_graph=True)
    for t, g in zip(ts, again, strict=True):
        np.testing.assert_array_equal(t.grad, g.data)
    return [t.grad.tolist() for t in ts]


def test_kink_abs_and_relu_are_flat_at_0():
    assert gradient(np.abs, [-2, 0, 3]) == [[-1, 0, 1]]
    assert gradient(ops.relu, [-2, 0, 3]) == [[0, 0, 1]]


@pytest.mark.parametrize("f", [np.maximum, np.minimum])
def test_kink_equal_arguments_of_maximum_and_minimum_get_half_each(f):
    assert gradient(lambda a, b: f(a, b)[1:2], [1, 5, 2], [3, 5, 1]) == [[0, 0.5, 0], [0, 0.5, 0]]
    assert gradient(lambda a: f(a, a), [1, 2]) == [[1, 1]]
    assert gradient(lambda a: f(a, 0.0), [0]) == [[0.5]]


def test_kink_elements_that_attain_the_maximum_share_equally():
    x = [[1, 3, 3], [2, 2, 2]]
    assert gradient(lambda a: np.max(a, axis=1) * [1, 3], x) == [[[0, 0.5, 0.5], [1, 1, 1]]]
    assert gradient(lambda a: np.max(a), x) == [[[0, 0.5, 0.5], [0, 0, 0]]]
    assert gradient(lambda a: np.min(a, axis=(0, 1), keepdims=True), [[1, 1], [1, 2]]) == [[[1 / 3, 1 / 3], [1 / 3, 0]]]


def test_kink_clip_passes_on_the_bounds():
    assert gradient(lambda a: np.clip(a, -1, 1), [-2, -1, 0, 1, 2]) == [[0, 1, 1, 1, 0]]


def test_kink_sqrt_is_infinite_at_0_and_std_of_equal_values_flat():
    with np.errstate(divide="ignore"):
        assert gradient(np.sqrt, [0]) == [[np.inf]]
    assert gradient(np.std, [2, 2, 2]) == [[0, 0, 0]]
    np.testing.assert_allclose(gradient(np.std, [0.1, 0.1, 0.1]), 0, atol=1e-15)  # their mean is not 0.1


def test_kink_power_at_0():
    assert gradient(lambda x: x**0.0, [0, 2]) == [[0, 0]]
    assert gradient(lambda x: x**0, [0, 2]) == [[0, 0]]
    assert gradient(lambda x: x**1.0, [0, 2]) == [[1, 1]]
    assert gradient(lambda x: x**2.0, [0, 2]) == [[0, 4]]
    assert gradient(lambda p: 0.0**p, [0, 1, 2.5]) == [[0, 0, 0]]
    assert gradient(lambda p: 0**p, [0, 1]) == [[0, 0]]
    assert gradient(np.power, [0, 0, 0], [0, 1, 2]) == [[0, 1, 0], [0, 0, 0]]


def test_power_has_all_derivatives_at_0():
    x = Tensor(np.zeros(1), requires_grad=True)
    y, found = x**3.0, []
    for _ in range(4):
        (y,) = grad(y.sum(), x, create_graph=True)
        found.append(y.item())
    assert found == [0, 0, 6, 0]


@pytest.mark.parametrize(
    ("x", "expected"),
    [([2, 3, 4], [12, 8, 6]), ([2, 0, 4], [0, 8, 0]), ([0, 0, 4], [0, 0, 0]), ([5], [1]), ([], [])],
)
def test_prod_with_zeros(x, expected):
    assert gradient(np.prod, x) == [expected]


def test_second_derivative_of_prod_with_two_zeros():
    x = Tensor(np.array([0.0, 3.0, 0.0]), requires_grad=True)
    (g,) = grad(np.prod(x), x, create_graph=True)
    (h,) = grad(g[0], x)
    assert h.data.tolist() == [0, 0, 3]


def test_std_of_equal_values_stays_finite_to_second_order():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    (g,) = grad(np.std(x, axis=1).sum(), x, create_graph=True)
    (h,) = grad((g * [1.0, 2.0, 3.0]).sum(), x)
    assert not g.data.any()
    assert not h.data.any()


def test_an_overflowing_branch_of_where_is_made_safe_by_a_second_where_and_found_by_detect_anomaly():
    x = Tensor(np.array([1.0, 1000.0]), requires_grad=True)
    small = x.data < 100
    safe = np.where(small, np.exp(np.where(small, x, 0)), x)
    safe.sum().backward()
    np.testing.assert_allclose(x.grad, [np.e, 1])
    with np.errstate(over="ignore", invalid="ignore"), detect_anomaly():
        unsafe = np.where(small, np.exp(x), x)
        with pytest.raises(FloatingPointError, match="exp"):
            unsafe.sum().backward()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_and_softmax_hold_at_the_ends(dtype):
    x = Tensor(np.array([-800, -30, 0, 30, 800], dtype), requires_grad=True)
    for f in (ops.sigmoid, ops.softmax, ops.log_softmax, np.tanh):
        y = f(x)
        assert np.all(np.isfinite(y.data))
        (g,) = grad(y.sum(), x)
        assert np.all(np.isfinite(g.data))
    assert ops.sigmoid(x).data[[0, 2, 4]].tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(ops.softmax(x).data.sum(), 1)
    np.testing.assert_allclose(ops.log_softmax(x).data[0], -1600)


# ------------------------------------------------------------------------------------------ the tests themselves


def unreached(places):
    """Return the engine's rules and composed functions that are not among these places.

    `to` needs two devices: tests/autograd/test_devices.py tests it.
    """
    missing = []
    for fn, rules in RULES.items():
        if fn is ops.to:
            continue
        reached = {p.argument for p in places if p.kind == "wrong" and p.fn is fn}
        missing += [f"{name_of(fn)}, argument {i}" for i in range(len(rules)) if i not in reached]
    reached = {p.fn for p in places if p.kind == "bent"}
    elsewhere = (np.full_like, Tensor.to)
    return missing + [f"{name_of(fn)}, composed" for fn in FUNCTIONS if fn not in reached and fn not in elsewhere]


@pytest.fixture(scope="module")
def places():
    return planted.places()


def test_every_rule_and_every_composed_function_is_judged(places):
    assert unreached(set(places)) == []


@pytest.mark.parametrize("kind", ["wrong", "cut", "bent"])
def test_planted_errors_are_found(places, kind):
    """Every planted error is found. `python tests/autograd/plant_derivatives.py` prints which judge finds it."""
    some = [place for place in places if place.kind == kind]
    assert len(some) >= 20
    assert [str(place) for place in some if not planted.finder(place, places[place])] == []
