"""The function that is differentiated: its noise, its precision, its outputs."""

import numpy as np
import pytest

from minirnn.gradcheck.objective import Objective

EPS = 2.0**-52


def objective(forward, x, weights=None):
    return Objective(forward, (x,), np.ones(x.size) if weights is None else weights, float(np.finfo(x.dtype).eps))


def test_noise_is_at_least_the_rounding_of_the_outputs_and_little_more():
    x = np.random.default_rng(0).standard_normal(50)
    sigma = objective(np.tanh, x).sigma(np.random.default_rng(1))
    size = np.linalg.norm(np.tanh(x))
    assert 0.25 * EPS * size <= sigma < 4 * EPS * 2 * size


@pytest.mark.parametrize("seed", range(50))
def test_noise_made_inside_is_measured(seed):
    """x + 1e6 - 1e6 has uniformly distributed errors of standard deviation 1e6 eps / sqrt(12)."""
    x = np.random.default_rng(seed).standard_normal(50)
    sigma = objective(lambda x: (x + 1e6) - 1e6, x).sigma(np.random.default_rng(seed))
    inside = np.spacing(1e6) / np.sqrt(12) * np.sqrt(x.size)
    assert inside / 4 < sigma < 4 * inside


def test_noise_beyond_rounding_is_infinite():
    rng = np.random.default_rng(0)
    assert objective(lambda x: x * rng.random(x.shape), np.ones(5)).sigma(np.random.default_rng(1)) == np.inf


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("distance", [0.0, 1e-8, -1e-6, 1e-5, 1e-4])
def test_a_kink_at_the_point_or_on_one_side_is_not_noise(seed, distance):
    x = np.array([distance])
    assert objective(np.abs, x).sigma(np.random.default_rng(seed)) < 1e-12


def test_float32_is_sharpened_only_if_forward_carries_float64():
    x = np.ones(3, np.float32)
    assert objective(np.tanh, x).sharpened().inputs[0].dtype == np.float64
    assert objective(lambda x: np.tanh(x).astype(np.float32), x).sharpened().inputs[0].dtype == np.float32


def test_outputs_that_change_their_number_are_refused():
    with pytest.raises(ValueError, match="returned 3 numbers, expected 2 as in its first call"):
        objective(np.tanh, np.ones(3), np.ones(2)).values()
