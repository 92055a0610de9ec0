"""reference/steps.py: a step is a sequence of one step, fresh and pure. `conformance.prove` has the rest."""

import numpy as np
import pytest

import minirnn_kernels

KERNELS = minirnn_kernels.get("numpy")
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def draw(cell, B, I, H, dtype=np.float64, seed=0):
    """x, the states, W_ih, W_hh, the biases"""
    rng = np.random.default_rng(seed)
    K, states, biases = GATES[cell] * H, 2 if cell == "lstm" else 1, 2 if cell == "gru" else 1
    shapes = [(B, I), *[(B, H)] * states, (K, I), (K, H), *[(K,)] * biases]
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]


def states_of(cell, made):
    return list(made) if cell == "lstm" else [made]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("B", [0, 1, 3])
@pytest.mark.parametrize("cell", GATES)
def test_a_step_is_a_sequence_of_one(cell, B, dtype):
    x, *rest = draw(cell, B, 5, 7, dtype)
    made = states_of(cell, KERNELS.of(cell).step(x, *rest))
    expected = KERNELS.of(cell).inference(x[None], *rest)[1:]
    for got, right in zip(made, expected, strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, right, rtol=0, atol=2 * (5 + 7 + 20) * np.finfo(dtype).eps)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_both_nonlinearities(nonlinearity):
    x, *rest = draw("rnn", 2, 3, 4)
    _, expected = KERNELS.rnn.inference(x[None], *rest, nonlinearity=nonlinearity)
    np.testing.assert_allclose(KERNELS.rnn.step(x, *rest, nonlinearity=nonlinearity), expected, rtol=1e-13)


def test_an_unknown_nonlinearity_is_named():
    with pytest.raises(ValueError, match="'sine', expected one of 'tanh', 'relu'"):
        KERNELS.rnn.step(*draw("rnn", 2, 3, 4), nonlinearity="sine")


@pytest.mark.parametrize("cell", GATES)
def test_overflow_infinity_and_nan_pass_without_a_warning(cell):
    x, *rest = draw(cell, 3, 4, 6, np.float32)
    x[0, 0], x[1, 1], x[2, 2] = 1e38, np.inf, np.nan
    h = states_of(cell, KERNELS.of(cell).step(x, *rest))[0]
    assert np.isfinite(h[0]).all()
    assert np.isnan(h[2]).all()
