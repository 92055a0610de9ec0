"""The unigram and bigram baselines equal the same counts computed with plain loops."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from minirnn.language import bigram_loss, unigram_loss

RTOL = 1e-12  # a mean of a few hundred logarithms in float64


@pytest.fixture
def ids():
    rng = np.random.default_rng(0)
    return rng.choice(6, 300, p=[0, 0.4, 0.3, 0.2, 0.1, 0]), rng.choice(
        6, 50
    )  # the validation part has tokens that are not in the training part


def test_unigram_equals_counting_by_hand(ids):
    train, valid = ids
    counts = Counter(train.tolist())
    expected = -sum(math.log((counts[t] + 1) / (300 + 6)) for t in valid.tolist()) / 50
    assert unigram_loss(train, valid, 6) == pytest.approx(expected, rel=RTOL)


def test_bigram_equals_counting_by_hand(ids):
    train, valid = (part.tolist() for part in ids)
    pairs = Counter(pairwise(train))
    firsts = Counter(train[:-1])
    before = [train[-1], *valid[:-1]]
    expected = -sum(math.log((pairs[b, t] + 1) / (firsts[b] + 6)) for b, t in zip(before, valid, strict=True)) / 50
    assert bigram_loss(*ids, 6) == pytest.approx(expected, rel=RTOL)


def test_a_pattern_is_seen_by_pairs_only():
    ids = np.tile([1, 2, 3], 200)
    assert unigram_loss(ids, ids[:30], 4) == pytest.approx(math.log(3), rel=0.01)
    assert bigram_loss(ids, ids[:30], 4) < 0.05


def test_probabilities_sum_to_one():
    train = np.array([1, 2, 1, 3, 1])
    after_one = [math.exp(-bigram_loss(train, np.array([t]), 4)) for t in range(4)]  # the last token of train is 1
    assert sum(after_one) == pytest.approx(1, rel=RTOL)
