"""The ratios of tolerances to rounding errors are those that the derivation states."""

import numpy as np
import pytest

from minirnn.gradcheck.tolerances import epsilon, relative_step, tolerance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_tolerance_lies_well_above_what_differences_reach_and_below_half_the_digits(dtype):
    eps = float(np.finfo(dtype).eps)
    reached = eps / relative_step(eps) + relative_step(eps) ** 4 / 30
    assert 20 * reached < tolerance(eps) < eps**0.5


def test_epsilon_is_the_coarsest():
    assert epsilon(np.ones(1), np.ones(1, np.float32), np.ones(1, int)) == 2.0**-23
    assert epsilon(np.ones(1, int)) == 2.0**-52
