"""Sizes: names are unique, and a text BxTxIxH gives any other size."""

import pytest

from minirnn.bench.sizes import NINE, QUICK, SIZES, USUAL, named


def test_the_nine_of_the_published_table():
    shapes = [(s.B, s.T, s.I, s.H) for s in NINE]
    assert shapes == [
        (1, 64, 64, 128),
        (16, 64, 64, 128),
        (16, 150, 256, 256),
        (32, 64, 128, 256),
        (50, 50, 128, 128),
        (64, 100, 256, 512),
        (16, 25, 512, 512),
        (64, 50, 500, 500),
        (64, 25, 1024, 1024),
    ]


def test_names_are_unique_and_every_size_says_where_it_comes_from():
    assert len({size.name for size in SIZES}) == len(SIZES)
    assert all(size.origin for size in SIZES)
    assert {*NINE, *USUAL, *QUICK} <= set(SIZES)


def test_a_size_is_found_by_name_or_made_from_four_numbers():
    assert named("char-rnn") in NINE
    made = named("2x3x5x7")
    assert (made.B, made.T, made.I, made.H) == (2, 3, 5, 7)


@pytest.mark.parametrize("text", ["huge", "", "2x3x5", "0x3x5x7", "2x3x5x-7", "2x3x5x7x1"])
def test_anything_else_is_refused_by_name(text):
    with pytest.raises(ValueError, match=r"size '.*' is not known, expected BxTxIxH"):
        named(text)
