"""gates.py: every derivative against the complex step and against finite differences."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn_kernels import gates
from minirnn_kernels.gates import EQUATIONS
from minirnn_kernels.proof.loop import VARIANTS

STEP = 1e-30  # of the complex step; its square underflows, so there is neither truncation nor cancellation
RTOL = 1e-12  # thousands of float64's epsilon: a few roundings, and cancellation in 1 - tanh^2 and 1 - z


def forward(cell, *arguments):
    """Return the next states for a_ih, a_hh, the states and the weights per unit."""
    return _equations(cell, "forward", *arguments)[0]


def backward(cell, arguments, upstream):
    """Return the gradients into all arguments of `forward` by the hand-written backward."""
    (h, *_), cache = _equations(cell, "forward", *arguments)
    da_ih, da_hh, dstates, dunit_weights = _equations(cell, "backward", h, cache, *upstream)
    return [da_ih, da_hh, *dstates, *(rows.reshape(-1, rows.shape[-1]).sum(axis=0) for rows in dunit_weights)]


def _equations(cell, part, *arguments):
    variant = VARIANTS[cell]
    return getattr(EQUATIONS[variant.cell.name], part)(*arguments, **variant.options)


def draw(cell, B, H, seed, dtype=np.float64):
    rng, facts = np.random.default_rng(seed), VARIANTS[cell].cell
    K = len(facts.gates) * H
    shapes = [(B, K), (B, K), *[(B, H)] * len(facts.states), *[(H,)] * len(facts.unit_weights)]
    arguments = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    upstream = [rng.standard_normal((B, H)).astype(dtype) for _ in facts.states]
    return partial(forward, cell), arguments, upstream


@pytest.mark.parametrize("cell", VARIANTS)
@given(B=st.integers(1, 4), H=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_each_output_with_respect_to_each_input_by_complex_step(cell, B, H, seed):
    forward, arguments, upstream = draw(cell, B, H, seed)
    for chosen in range(len(upstream)):  # one output at a time: the others get a gradient of zero
        only = [g if k == chosen else np.zeros_like(g) for k, g in enumerate(upstream)]
        for position, (argument, gradient) in enumerate(zip(arguments, backward(cell, arguments, only), strict=True)):
            for index in np.ndindex(argument.shape):
                moved = [a.astype(complex) for a in arguments]
                moved[position][index] += 1j * STEP
                derivative = np.imag(forward(*moved)[chosen]) / STEP
                expected = np.sum(only[chosen] * derivative)
                scale = np.sum(np.abs(only[chosen] * derivative)) + 1e-3
                assert abs(gradient[index] - expected) <= RTOL * scale, (cell, chosen, position, index)


@pytest.mark.parametrize("cell", VARIANTS)
def test_finite_differences_agree(cell):
    forward, arguments, upstream = draw(cell, 2, 3, seed=5)
    step = np.cbrt(np.finfo(float).eps)  # balances truncation, step^2, against rounding, eps / step
    for position, gradient in enumerate(backward(cell, arguments, upstream)):
        for index in np.ndindex(gradient.shape):
            loss = []
            for sign in (1, -1):
                moved = [a.copy() for a in arguments]
                moved[position][index] += sign * step
                loss.append(sum(np.sum(g * y) for g, y in zip(upstream, forward(*moved), strict=True)))
            assert (loss[0] - loss[1]) / (2 * step) == pytest.approx(gradient[index], rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("cell", VARIANTS)
def test_the_dtype_of_the_arguments_is_kept(cell, dtype):
    forward, arguments, upstream = draw(cell, 2, 3, seed=1, dtype=dtype)
    for array in [*forward(*arguments), *backward(cell, arguments, upstream)]:
        assert array.dtype == dtype


@pytest.mark.parametrize("cell", VARIANTS)
def test_any_leading_axes_are_allowed(cell):
    forward, arguments, upstream = draw(cell, 6, 3, seed=2)
    shaped = [a.reshape(2, 3, -1) if a.ndim == 2 else a for a in arguments]
    for flat, deep in zip(forward(*arguments), forward(*shaped), strict=True):
        assert np.array_equal(flat, deep.reshape(flat.shape))
    deep_upstream = [g.reshape(2, 3, -1) for g in upstream]
    for flat, deep in zip(backward(cell, arguments, upstream), backward(cell, shaped, deep_upstream), strict=True):
        assert np.array_equal(flat, deep.reshape(flat.shape))


@pytest.mark.parametrize("cell", VARIANTS)
def test_arguments_are_not_changed(cell):
    _, arguments, upstream = draw(cell, 2, 3, seed=3)
    for array in (*arguments, *upstream):
        array.flags.writeable = False
    backward(cell, arguments, upstream)


def test_sigmoid_is_accurate_over_the_whole_range_and_never_warns():
    x = np.linspace(-800, 800, 3201)
    assert np.all(gates.sigmoid(x[x < -40]) == np.exp(x[x < -40]))  # 1 + e^x is 1 there
    assert np.all(gates.sigmoid(x[x > 40]) == 1)
    middle = x[np.abs(x) < 30]
    np.testing.assert_allclose(gates.sigmoid(middle), 0.5 + 0.5 * np.tanh(middle / 2), rtol=0, atol=4e-16)
    assert gates.sigmoid(np.array([-np.inf, 0, np.inf])).tolist() == [0, 0.5, 1]


def test_sigmoid_of_a_complex_number_is_the_analytic_function():
    x = np.linspace(-30, 30, 61) + 0.3j
    np.testing.assert_allclose(gates.sigmoid(x), 1 / (1 + np.exp(-x)), rtol=1e-14)


def test_relu_depends_on_the_real_part_and_has_derivative_zero_at_the_kink():
    a = np.array([2 - 1j, -2 + 1j, 0 + 1j])
    assert gates.rnn_gates(a, "relu").tolist() == [2 - 1j, 0, 0]
    h = np.array([0.0, 3.0])
    assert gates.rnn_gates_backward(np.ones(2), h, "relu").tolist() == [0, 1]


@pytest.mark.parametrize("cell", VARIANTS)
def test_nan_stays_in_its_row(cell):
    forward, arguments, upstream = draw(cell, 2, 3, seed=4)
    arguments[0][0, :] = np.nan
    for result in forward(*arguments):
        assert np.isnan(result[0]).all()
        assert np.isfinite(result[1]).all()
    for gradient in backward(cell, arguments, [g * np.nan for g in upstream]):
        assert np.isnan(gradient).any() or not gradient.any()  # 0: a state that acts through a_hh alone


def test_an_unknown_nonlinearity_is_named():
    with pytest.raises(ValueError, match="'sine', expected one of 'tanh', 'relu'"):
        gates.rnn_gates(np.zeros(2), "sine")
