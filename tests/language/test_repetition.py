"""Repetition: the share equals its definition, loops are found where they begin, and other endings are not loops."""

import numpy as np
import pytest

from minirnn.language import ending_loop, repeated_share


def test_known_shares():
    assert repeated_share("abcdef", 1) == 0
    assert repeated_share(["the", "the", "the", "the"], 1) == 3 / 4
    assert repeated_share(["the", "the", "the", "the"], 2) == 2 / 3
    assert repeated_share("ab", 3) == 0
    assert repeated_share("", 1) == 0


@pytest.mark.parametrize("seed", range(10))
def test_the_share_counts_grams_that_stood_before(seed):
    rng = np.random.default_rng(seed)
    tokens, n = rng.integers(0, 4, 60).tolist(), int(rng.integers(1, 5))
    grams = [tokens[i : i + n] for i in range(60 - n + 1)]
    assert repeated_share(tokens, n) == pytest.approx(sum(g in grams[:i] for i, g in enumerate(grams)) / len(grams))


def test_a_loop_is_found_where_it_begins():
    assert ending_loop("once upon the the the the ") == (9, 4)  # " the" is the same loop
    assert ending_loop("xyabcabcabcab") == (2, 3)
    assert ending_loop("abcabcabc") == (0, 3)
    assert ending_loop("aaaaaa") == (0, 1)  # the shortest period, not 2 or 3


def test_what_is_no_loop():
    assert ending_loop("abcabc") is None
    assert ending_loop("abcabc", times=2) == (0, 3)
    assert ending_loop("abcabcabcx") is None  # the text leaves the loop
    assert ending_loop("the end...", least=4) is None
    assert ending_loop("") is None


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_loop_is_found(seed):
    rng = np.random.default_rng(seed)
    before, period = int(rng.integers(1, 20)), int(rng.integers(1, 9))
    cycle = ["c", *rng.integers(0, 3, period - 1).tolist()]
    tokens = ["x"] * before + (cycle * 9)[: 3 * period + int(rng.integers(0, 6 * period))]
    assert ending_loop(tokens) == (before, period)


@pytest.mark.parametrize(("call", "named"), [((1, 1), "times"), ((3, 0), "least")])
def test_bad_bounds_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        ending_loop("abc", *call)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        repeated_share("abc", 0)
