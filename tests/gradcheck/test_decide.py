"""`compare`, and the scale that errors are relative to."""

import numpy as np
import pytest

from minirnn.gradcheck import Verdict, check, compare
from minirnn.gradcheck.decide import Magnitudes, decide
from minirnn.gradcheck.differences import Estimate
from minirnn.gradcheck.judges import Evidence

G = np.random.default_rng(0).standard_normal((3, 4))


def test_equal_gradients_pass_and_unequal_ones_fail_at_their_index():
    wrong = G.copy()
    wrong[2, 1] += 1e-6
    assert compare(G, G)
    assert compare([G, G.T], (G, G.T), names=["x", "W"])
    assert compare({"x": G}, {"x": G})
    report = compare({"x": G, "W": wrong}, {"W": G, "x": G})
    assert report.failed() == ("W",)
    assert report["W"].index == (2, 1)
    assert report["W"].wrong == 1


def test_compare_refuses_what_does_not_match():
    with pytest.raises(ValueError, match="2 gradients and trusted has 1"):
        compare([G, G], [G])
    with pytest.raises(ValueError, match="keys of trusted"):
        compare({"x": G}, {"W": G})
    with pytest.raises(ValueError, match="names has 1 names for 2"):
        compare([G, G], [G, G], names=["x"])
    with pytest.raises(ValueError, match="trusted gradient W must be finite floats"):
        compare([G], [G * np.nan], names=["W"])
    assert "expected (3, 4)" in str(compare(G.T, G))


def test_a_small_entry_is_judged_on_the_tensors_largest():
    """An entry of 1e-14 that is left after terms of size 1 cancel has no correct digits, and isn't a mistake."""
    right = np.array([1.0, 1e-14])
    assert compare(np.array([1.0, 3e-14]), right)
    assert not compare(np.array([1.0, 1e-8]), right)


def test_a_small_tensor_is_judged_on_a_share_of_the_others():
    assert compare([G, np.array([1e-14])], [G, np.array([3e-14])])
    assert compare([G, np.array([0.0])], [G, np.array([1e-9])]).failed() == ("gradient 1",)
    assert not compare([np.array([1e-14])], [np.array([3e-14])])


def test_a_wrong_gradient_of_any_size_spoils_no_other_tensors_scale():
    report = compare([1e12 * G, G * (1 + 1e-6)], [G, G])
    assert report.failed() == ("gradient 0", "gradient 1")


def test_float32_is_compared_at_its_precision():
    assert compare(G.astype(np.float32), G)
    assert not compare((G * 1.001).astype(np.float32), G)


@pytest.mark.parametrize(("blurred", "verdict"), [(1, Verdict.PASS), (4, Verdict.CANNOT_TELL)])
def test_a_few_entries_that_a_second_look_leaves_blurred_are_left_out_many_are_not(blurred, verdict):
    right = np.ones(20)
    seen = right.copy()
    seen[:blurred] += 0.1
    evidence = Evidence("differences", seen, np.full(20, 1e-13), lambda n, doubt: Estimate(1.01, 0.05))
    row = decide("x", right, evidence, None, Magnitudes(1.0, 0.0, {0: 1.0}), 0, 2.0**-52)
    assert row.verdict is verdict
    assert row.kinks == (blurred if verdict is Verdict.PASS else 0)


@pytest.mark.parametrize("judge", ["auto", "differences"])
def test_a_vanishing_gradient_is_not_lost(judge):
    """The gradient of h is 1e-6 times that of x, and omitting it is still a mistake."""

    def forward(x, h):
        return np.tanh(x + 1e-6 * h), (x, h)

    def backward(dy, cache):
        da = dy * (1 - np.tanh(cache[0] + 1e-6 * cache[1]) ** 2)
        return da, 1e-6 * da

    assert check(forward, backward, (G, G + 1), judge=judge)
    report = check(forward, lambda dy, cache: (backward(dy, cache)[0], 0 * dy), (G, G + 1), judge=judge)
    assert report.failed() == ("h",)
    assert report["h"].verdict is Verdict.FAIL
