"""The V curve: the error of a correct gradient falls to rounding; that of a wrong gradient stays on a plateau."""

import numpy as np
import pytest

from minirnn.gradcheck import sweep

X = np.random.default_rng(0).standard_normal(5)


def test_a_right_gradient_draws_a_v():
    curve = sweep(lambda x: (np.sin(x), x), lambda dy, x: dy * np.cos(x), (X,))
    errors = curve.errors["x"]
    least = int(np.argmin(errors))
    assert errors[least] < 1e-9
    assert 1e-7 < curve.steps[least] < 1e-4
    assert errors[0] > 1e-3
    assert errors[-1] > 1e-6


@pytest.mark.parametrize("size", [1e-1, 1e-4])
def test_a_wrong_one_stays_at_its_error(size):
    curve = sweep(lambda x: (np.sin(x), x), lambda dy, x: dy * np.cos(x) * (1 + size), (X,))
    plateau = np.median(curve.errors["x"][4:16])  # steps from 1e-2 to 1e-8
    assert 0.5 * size < plateau < 2 * size


def test_the_drawing_has_a_mark_for_every_step():
    curve = sweep(lambda x: (np.sin(x), x), lambda dy, x: dy * np.cos(x), (X,))
    text = curve.text()
    assert text.count("*") == len(curve.steps)
    assert "smallest error" in text


def test_results_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="backward returned"):
        sweep(lambda x: (np.sin(x), x), lambda dy, x: (dy, dy), (X,))
    with pytest.raises(ValueError, match="has shape"):
        sweep(lambda x: (np.sin(x), x), lambda dy, x: dy[:2], (X,))
