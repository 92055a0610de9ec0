"""Batches: every column continues where it stopped, no token is skipped or repeated, and the position can be stored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.language import Batches, TextTooShort, split


@given(n=st.integers(2, 200), batch=st.integers(1, 7), seq=st.integers(1, 9), keep_tail=st.booleans())
def test_columns_are_contiguous_streams_of_the_text(n, batch, seq, keep_tail):
    ids = np.arange(n)
    length = (n - 1) // batch
    windows = -(-length // seq) if keep_tail else length // seq
    if windows == 0:
        with pytest.raises(TextTooShort):
            Batches(ids, batch, seq, keep_tail=keep_tail)
        return
    batches = Batches(ids, batch, seq, keep_tail=keep_tail)
    assert len(batches) == windows
    xs, ys = zip(*batches, strict=True)
    assert all(x.shape == y.shape == (seq, batch) for x, y in zip(xs[:-1], ys[:-1], strict=True))
    x, y = np.concatenate(xs), np.concatenate(ys)
    assert len(x) == (length if keep_tail else windows * seq)
    for column in range(batch):
        assert np.array_equal(x[:, column], column * length + np.arange(len(x)))
    assert np.array_equal(y, x + 1)


def test_shapes_are_time_major_and_own_their_memory():
    ids = np.arange(40)
    x, y = Batches(ids, batch=3, seq=4)[1]
    assert x.tolist() == [[4, 17, 30], [5, 18, 31], [6, 19, 32], [7, 20, 33]]
    assert x.flags.c_contiguous
    assert not np.shares_memory(x, ids)
    assert not np.shares_memory(y, ids)


def test_a_stored_position_continues():
    ids = np.random.default_rng(0).integers(0, 9, 100)
    batches = Batches(ids, 2, 7)
    iterator = iter(batches)
    for _ in range(3):
        next(iterator)
    again = Batches(ids, 2, 7)
    again.position = batches.position
    assert batches.position == 3
    rest, other = list(iterator), list(again)
    assert len(rest) == len(batches) - 3
    assert all(
        np.array_equal(a, b) for one, two in zip(rest, other, strict=True) for a, b in zip(one, two, strict=True)
    )
    assert batches.position == again.position == 0


def test_an_exactly_long_enough_text_gives_one_window():
    assert len(Batches(np.arange(2 * 3 + 1), 2, 3)) == 1
    with pytest.raises(TextTooShort, match="has 6 tokens, too few for one batch: batch 2 x seq 3 needs 7"):
        Batches(np.arange(6), 2, 3)
    with pytest.raises(TextTooShort, match="has 0 tokens"):
        Batches(np.arange(0), 2, 3)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="batch and seq must be at least 1, got 0 and 3"):
        Batches(np.arange(9), 0, 3)
    with pytest.raises(IndexError, match="window 3 is out of range: there are windows 0 to 2"):
        Batches(np.arange(10), 1, 3)[3]


def test_validation_is_the_last_tenth():
    train, valid = split(np.arange(105))
    assert train.tolist() == list(range(95))
    assert valid.tolist() == list(range(95, 105))
    with pytest.raises(ValueError, match="fraction must be between 0 and 1, got 1"):
        split(np.arange(5), 1)
