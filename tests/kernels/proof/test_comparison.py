"""proof/comparison.py: differences are found, and the worst entry is named."""

import numpy as np
import pytest

from minirnn_kernels.proof.comparison import at, compare

EXPECTED = np.array([[1.0, 2.0], [3.0, np.inf]])


def test_equal_arrays_pass_infinities_and_nan_included():
    compare(EXPECTED.copy(), EXPECTED, 0, np.float64, "x")
    with_nan = np.array([np.nan, 1.0])
    compare(with_nan.copy(), with_nan, 0, np.float64, "x")
    compare(np.zeros((0, 3)), np.zeros((0, 3)), 0, np.float64, "x")


def test_the_allowed_error_may_differ_by_entry():
    got = EXPECTED + np.array([[0.1, 0.0], [0.2, 0.0]])
    compare(got, EXPECTED, np.array([[0.15, 0], [0.25, 0]]), np.float64, "x")
    with pytest.raises(AssertionError, match=r"x: worst entry \[1, 0\] is 3.2, expected 3; error 0.2, allowed 0.05"):
        compare(got, EXPECTED, np.array([[0.15, 0], [0.05, 0]]), np.float64, "x")


@pytest.mark.parametrize(
    ("got", "message"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], r"x: expected an array, got list"),
        (EXPECTED[0], r"x: shape \(2,\), expected \(2, 2\)"),
        (EXPECTED.astype(np.float32), r"x: dtype float32, expected float64"),
        (np.where(EXPECTED == 2, np.nan, EXPECTED), r"x: NaN where a number was expected, first at \[0, 1\]"),
        (np.where(np.isinf(EXPECTED), 1e9, EXPECTED), r"x: worst entry \[1, 1\] is 1e\+09, expected inf"),
        (np.where(np.isinf(EXPECTED), -np.inf, EXPECTED), r"x: worst entry \[1, 1\] is -inf, expected inf"),
        (np.where(EXPECTED == 2, np.inf, EXPECTED), r"x: worst entry \[0, 1\] is inf, expected 2"),
    ],
)
def test_what_is_wrong_is_named(got, message):
    with pytest.raises(AssertionError, match=message):
        compare(got, EXPECTED, 1e-9, np.float64, "x")


def test_a_number_in_the_place_of_nan_is_found():
    with pytest.raises(AssertionError, match=r"x: a number where NaN was expected, first at \[1\]"):
        compare(np.zeros(2), np.array([0, np.nan]), 1, np.float64, "x")


def test_an_index_is_printed_as_numbers():
    assert at(np.array([1, 2])) == "[1, 2]"
