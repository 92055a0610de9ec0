"""The complex step is trusted only for functions that keep the imaginary part; otherwise the report says why."""

import numpy as np
import pytest

from minirnn.gradcheck import Verdict, check

X = np.random.default_rng(0).standard_normal((3, 4))


def buffered(x):
    y = np.zeros(x.shape)
    y[...] = np.tanh(x)
    return y, y


def insists(x):
    if np.iscomplexobj(x):
        raise TypeError("real numbers only")
    return x**2, x


DROPPING = {
    "abs": (lambda x: (np.abs(x), x), lambda dy, x: np.sign(x) * dy, "by differences"),
    "sign": (lambda x: (np.sign(x) * x, x), lambda dy, x: np.sign(x) * dy, "by differences"),
    "real part": (lambda x: (x**2 + np.real(x), x), lambda dy, x: (2 * x + 1) * dy, "by differences"),
    "norm": (lambda x: (np.asarray(np.linalg.norm(x)), x), lambda dy, x: dy * x / np.linalg.norm(x), "by differences"),
    "variance": (
        lambda x: (np.asarray(np.var(x)), x),
        lambda dy, x: dy * 2 * (x - x.mean()) / x.size,
        "by differences",
    ),
    "a small part": (lambda x: (1e4 * x + np.abs(x), x), lambda dy, x: (1e4 + np.sign(x)) * dy, "by differences"),
    "float buffer": (buffered, lambda dy, y: (1 - y * y) * dy, "ComplexWarning"),
    "cast": (lambda x: (x.astype(np.float64) ** 2, x), lambda dy, x: 2 * x * dy, "ComplexWarning"),
    "refusal": (insists, lambda dy, x: 2 * x * dy, "TypeError"),
}


@pytest.mark.parametrize("how", DROPPING)
@pytest.mark.parametrize("mode", ["full", "directional"])
def test_a_function_that_drops_the_imaginary_part_is_judged_by_differences(how, mode):
    forward, backward, reason = DROPPING[how]
    report = check(forward, backward, (X,), names=["x"], mode=mode)
    assert report, str(report)
    assert report["x"].judge == "differences"
    assert reason in report["x"].note
    wrong = check(forward, lambda dy, cache: 1.001 * backward(dy, cache), (X,), names=["x"], mode=mode)
    assert wrong.failed() == ("x",)


@pytest.mark.parametrize("how", DROPPING)
def test_asked_for_the_complex_step_alone_it_cannot_tell(how):
    forward, backward, reason = DROPPING[how]
    report = check(forward, backward, (X,), names=["x"], judge="complex")
    assert report.verdict is Verdict.CANNOT_TELL
    assert reason in report["x"].note


def test_only_the_input_whose_imaginary_part_is_lost_falls_back():
    report = check(
        lambda x, y: (x**2 * np.abs(y), (x, y)),
        lambda d, c: (d * 2 * c[0] * abs(c[1]), d * c[0] ** 2 * np.sign(c[1])),
        (X, X.T.T + 3),
    )
    assert report, str(report)
    assert (report["x"].judge, report["y"].judge) == ("complex step", "differences")


def test_the_complex_step_is_exact():
    report = check(lambda x: (np.exp(np.sin(x)), x), lambda dy, x: dy * np.cos(x) * np.exp(np.sin(x)), (X,))
    assert report["x"].judge == "complex step"
    assert report["x"].error < 1e-14


def test_a_gradient_of_zero_is_confirmed_without_a_false_alarm():
    h = np.zeros((2, 3))
    report = check(
        lambda h, W: (np.tanh(h @ W + 1), (h, W)),
        lambda d, c: (d * (1 - np.tanh(1) ** 2) @ c[1].T, np.zeros((3, 3))),
        (h, X[:, :3]),
    )
    assert report, str(report)
    assert {row.judge for row in report.rows} == {"complex step"}
