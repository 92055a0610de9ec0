"""Each fault makes a check fail even though the numbers are correct."""

import numpy as np
import pytest

from minirnn.gradcheck import Verdict, check

X = np.random.default_rng(0).standard_normal((3, 4))


def forward(x):
    return np.sin(x), x.copy()


def backward(dy, x):
    return dy * np.cos(x)


def changes_upstream(dy, x):
    dy *= np.cos(x)
    return dy


def changes_cache(dy, x):
    result = dy * np.cos(x)
    x += 1
    return result


def clips(dy, x):
    return np.clip(dy * np.cos(x), -5, 5)


def affine(dy, x):
    return dy * np.cos(x) + 1e-7


def accumulates():
    total = np.zeros_like(X)

    def run(dy, x):
        total[...] += dy * np.cos(x)
        return total.copy()

    return run


FAULTS = {
    "changes its upstream gradient in place": changes_upstream,
    "the cache is changed in place": changes_cache,
    "isn't linear": clips,
    "1024 times the upstream": affine,
    "a value is kept between": accumulates(),
}


@pytest.mark.parametrize("words", FAULTS)
def test_faults_fail(words):
    report = check(forward, FAULTS[words], (X,))
    assert report.verdict is Verdict.FAIL
    assert any(words in fault for fault in report.faults), str(report)
    assert words in str(report)


def test_an_input_changed_in_place():
    def doubling(x):
        x *= 2
        return x.copy(), None

    report = check(doubling, lambda dy, _: 2 * dy, (X,))
    assert report.faults == ("x changed in place",)
    assert report.rows[0].verdict is Verdict.PASS


def test_clean_functions_have_no_faults():
    report = check(forward, backward, (X,))
    assert report
    assert (report.faults, report.note) == ((), "")


def test_remarks_do_not_fail():
    def two(x, y, unused):
        return x + y, None

    def same(dy, _):
        return dy, dy, np.zeros(2)

    report = check(two, same, (X, X + 1, np.ones(2)))
    assert report, str(report)
    assert "the gradients of x and y share memory" in report.note
    assert "forward doesn't depend on unused" in report.note


def test_a_cache_may_be_used_up():
    def stacking(x):
        return np.sin(x), [x]

    report = check(stacking, lambda dy, cache: dy * np.cos(cache.pop()), (X,))
    assert report, str(report)
    assert "can't be called twice on one cache" in report.note
