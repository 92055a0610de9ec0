"""reference/steps.py: a step equals a sequence of one step. `minirnn_kernels.proof` tests everything else."""

import numpy as np
import pytest

import minirnn_kernels
from minirnn_kernels.cell import CELLS

KERNELS = minirnn_kernels.get("numpy")


def draw(cell, B, I, H, dtype=np.float64, seed=0):
    """Return x, the states, W_ih, W_hh and the biases."""
    rng = np.random.default_rng(seed)
    facts = CELLS[cell]
    K = len(facts.gates) * H
    shapes = [(B, I), *[(B, H)] * len(facts.states), (K, I), (K, H), *[(K,)] * len(facts.biases)]
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]


def states_of(cell, made):
    return list(made) if len(CELLS[cell].states) > 1 else [made]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("B", [0, 1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_a_step_is_a_sequence_of_one(cell, B, dtype):
    x, *rest = draw(cell, B, 5, 7, dtype)
    made = states_of(cell, KERNELS.of(cell).step(x, *rest))
    expected = KERNELS.of(cell).inference(x[None], *rest)[1:]
    for got, right in zip(made, expected, strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, right, rtol=0, atol=2 * (5 + 7 + 20) * np.finfo(dtype).eps)


@pytest.mark.parametrize("nonlinearity", CELLS["rnn"].nonlinearities)
def test_both_nonlinearities(nonlinearity):
    x, *rest = draw("rnn", 2, 3, 4)
    _, expected = KERNELS.rnn.inference(x[None], *rest, nonlinearity=nonlinearity)
    np.testing.assert_allclose(KERNELS.rnn.step(x, *rest, nonlinearity=nonlinearity), expected, rtol=1e-13)


def test_an_unknown_nonlinearity_is_named():
    with pytest.raises(ValueError, match="'sine', expected one of 'tanh', 'relu'"):
        KERNELS.rnn.step(*draw("rnn", 2, 3, 4), nonlinearity="sine")


@pytest.mark.parametrize("cell", CELLS)
def test_overflow_infinity_and_nan_pass_without_a_warning(cell):
    x, *rest = draw(cell, 3, 4, 6, np.float32)
    x[0, 0], x[1, 1], x[2, 2] = 1e38, np.inf, np.nan
    h = states_of(cell, KERNELS.of(cell).step(x, *rest))[0]
    assert np.isfinite(h[0]).all()
    assert np.isnan(h[2]).all()
