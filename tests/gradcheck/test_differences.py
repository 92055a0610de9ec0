"""The error bounds of differences hold; noise and kinks are measured."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.gradcheck.differences import noise, refine, slope


def line_of(f, x):
    """Return f along x as a Line, which includes the rounding of x + t."""
    return lambda t: ((x + t) - x, f(x + t) - f(x))


def test_slope_is_exact_for_polynomials_of_degree_four():
    """The rounding error is at most 6 units of 2**-52 divided by the step."""
    seen = slope(line_of(lambda x: 3 * x**4 - x**3 + 2 * x, 0.5), 0.125)
    assert seen.value == pytest.approx(12 * 0.125 - 3 * 0.25 + 2, abs=6 * 2**-52 / 0.125)


def test_the_error_falls_with_the_fourth_power_of_the_step():
    errors = [abs(slope(line_of(math.exp, 0.0), h).value - 1) for h in (0.2, 0.1, 0.05)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(16, rel=0.1)


def test_a_step_lost_in_rounding_gives_nan():
    assert math.isnan(slope(line_of(math.exp, 1.0), 1e-20).value)
    assert math.isinf(refine(line_of(math.exp, 1.0), 1e-20, 0.0, 1.0).bound)


@given(x=st.floats(-2, 2), frequency=st.floats(0.1, 300))
def test_the_bound_holds(x, frequency):
    """The step is far too large for high frequencies; the argument of sin and its value are both rounded."""
    sigma = 2**-52 * max(1.0, frequency * abs(x))
    estimate = refine(line_of(lambda t: math.sin(frequency * t), x), 1e-2, sigma, 1e-3)
    assert abs(estimate.value - frequency * math.cos(frequency * x)) <= estimate.bound
    assert estimate.sides is None


@given(distance=st.floats(1e-9, 1e-3), slope_left=st.floats(-3, 3), slope_right=st.floats(-3, 3))
def test_a_kink_near_the_point_is_seen_through_or_reported(distance, slope_left, slope_right):
    def bent(t):
        return slope_right * t if t > -distance else -slope_right * distance + slope_left * (t + distance)

    estimate = refine(line_of(bent, 0.0), 1e-3, 2**-52 * 1e-3, 1e-3)
    at_most = estimate.bound + 1e-9
    inside = estimate.sides is not None and estimate.sides[0] - at_most <= slope_right <= estimate.sides[1] + at_most
    assert abs(estimate.value - slope_right) <= at_most or inside


def test_a_kink_at_the_point_gives_both_sides():
    estimate = refine(line_of(lambda t: max(t, 0.0), 0.0), 1e-3, 1e-18, 1.0)
    assert estimate.sides == (0.0, 1.0)


@given(seed=st.integers(0, 10**6), sigma=st.floats(1e-12, 1e-6))
def test_noise_is_measured_on_a_smooth_curve(seed, sigma):
    """From 200 values, the estimated standard deviation has a relative error of about 10%."""
    t = np.arange(200) * 1e-3
    values = np.sin(t) + sigma * np.random.default_rng(seed).standard_normal(t.size)
    assert sigma / 1.5 < noise(values) < sigma * 1.5
