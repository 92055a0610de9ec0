"""Wrong arguments raise an error that names the argument, the given value and the expected one."""

import numpy as np
import pytest

from minirnn.gradcheck import check

ONES = np.ones((2, 3))


def double(x):
    return 2 * x, None


def double_backward(dy, _):
    return 2 * dy


@pytest.mark.parametrize(
    ("inputs", "options", "error", "says"),
    [
        (ONES, {}, TypeError, "inputs must be a tuple or list.*ndarray"),
        ((np.array([1.0, np.nan]),), {}, ValueError, r"input x is not finite: nan at \(1,\)"),
        ((ONES * 1j,), {}, TypeError, "input x has dtype complex128"),
        ((np.ones(3, int),), {}, ValueError, "no input is an array of floats"),
        ((ONES,), {"mode": "fast"}, ValueError, "mode must be one of 'full', 'directional'; got 'fast'"),
        ((ONES,), {"judge": "torch"}, ValueError, "judge must be one of"),
        ((ONES,), {"step": 0.0}, ValueError, "step must be a positive number"),
        ((ONES,), {"step": np.nan}, ValueError, "step must be a positive number"),
        ((ONES,), {"step": 1e-3, "judge": "complex"}, ValueError, "step .* differences only"),
        ((ONES,), {"upstream": np.ones(3)}, ValueError, r"upstream 0 .* \(3,\), expected .* \(2, 3\)"),
        ((ONES,), {"upstream": (ONES, ONES)}, ValueError, "upstream has 2 elements, forward has 1"),
        ((ONES,), {"upstream": ONES * np.inf}, ValueError, "upstream 0 is not finite"),
        ((ONES,), {"names": ["x", "y"]}, ValueError, "names must be 1 different"),
        ((ONES,), {"wrt": ["y"]}, ValueError, "wrt names 'y'; the inputs are x"),
        ((ONES,), {"wrt": [1]}, ValueError, "wrt names 1"),
        ((ONES,), {"wrt": []}, ValueError, "wrt must name at least one"),
        ((ONES,), {"wrt": [0, "x"]}, ValueError, "none twice"),
    ],
)
def test_a_wrong_question_is_refused(inputs, options, error, says):
    with pytest.raises(error, match=says):
        check(double, double_backward, inputs, **options)


def test_wrt_of_an_int_input_is_refused():
    with pytest.raises(TypeError, match="wrt names ids"):
        check(lambda ids, E: (E[ids], None), double_backward, (np.array([0]), ONES), wrt=["ids"])


def test_outputs_must_be_finite_floats():
    with pytest.raises(ValueError, match=r"output 0 of forward is not finite: inf at \(0, 0\)"):
        check(lambda x: (x * np.inf, None), double_backward, (ONES,))
    with pytest.raises(TypeError, match=r"output 1 of forward has dtype int64.*last element is the cache"):
        check(lambda x: (x, np.arange(3), None), double_backward, (ONES,))


def test_an_array_of_another_library_is_refused():
    class Foreign:
        dtype = "float32"

    with pytest.raises(TypeError, match="input y is a Foreign; give a NumPy array"):
        check(lambda x, y: (x, None), double_backward, (ONES, Foreign()))


def test_python_numbers_and_lists_of_floats_are_inputs_and_other_things_pass_through():
    def scaled(x, factor, mode, ids, flag):
        assert mode == "plain"
        assert ids == [1, 2]
        assert flag is None
        return np.asarray(x) * factor, (x, factor)

    report = check(scaled, lambda d, c: (d * c[1], np.sum(d * c[0])), ([1.0, 2.0], 0.5, "plain", [1, 2], None))
    assert report, str(report)
    assert [row.name for row in report.rows] == ["x", "factor"]


def test_inputs_without_names_are_numbered():
    report = check(lambda *xs: (xs[0] * xs[1], xs), lambda d, xs: (d * xs[1], d * xs[0]), (ONES, ONES * 3))
    assert [row.name for row in report.rows] == ["input 0", "input 1"]


def test_an_error_of_the_users_code_reaches_the_user():
    with pytest.raises(ZeroDivisionError):
        check(double, lambda dy, _: 1 / 0, (ONES,))
