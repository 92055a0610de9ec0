"""The recall task: its symbols, noise and targets, checked step by step."""

import numpy as np

from minirnn.course.recall import SYMBOLS, TOKENS, after_a_gap, at_random


def test_the_target_at_random_is_the_last_symbol_so_far():
    ids, targets = at_random(np.random.default_rng(0), 50, 40, 0.2)
    for b in range(40):
        last = None
        for t in range(50):
            last = ids[t, b] if ids[t, b] < SYMBOLS else last
            assert targets[t, b] == last
    assert np.all(ids[0] < SYMBOLS)
    assert 0.17 < np.mean(ids[1:] < SYMBOLS) < 0.23
    assert set(np.unique(ids)) == set(range(TOKENS))


def test_after_a_gap_the_symbol_is_the_target_at_its_distance_and_nowhere_else():
    gap = 6
    ids, targets = after_a_gap(np.random.default_rng(1), 40, 30, gap)
    for b in range(30):
        symbols = np.flatnonzero(ids[:, b] < SYMBOLS)
        assert set(np.diff(symbols)) == {gap + 1}
        asked = np.flatnonzero(targets[:, b] != -100)
        assert set(asked) == {s + gap for s in symbols if s + gap < 40}
        assert all(targets[t, b] == ids[t - gap, b] for t in asked)
    assert (
        len({int(np.flatnonzero(column < SYMBOLS)[0]) for column in ids.T}) > 3
    )  # the first symbols are at different steps
