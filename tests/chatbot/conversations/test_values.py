"""Values: the three parts share no word, and a made-up word belongs to exactly one part."""

import numpy as np
import pytest

from minirnn.chatbot.conversations import ordinary_words, read, value_words
from minirnn.chatbot.conversations.values import LISTS, NUMBERS, draw, part_of, trained_values

PARTS = ("train", "valid", "test")


def words(values):
    return {word for value in values for word in read(value)[0]}


@pytest.mark.parametrize("kind", [*LISTS, *NUMBERS])
def test_no_value_is_in_two_parts(kind):
    lists = {**LISTS, **NUMBERS}[kind]
    for a, b in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert not set(lists[a]) & set(lists[b])


def test_no_name_or_town_of_one_part_shares_a_word_with_another():
    for kind in ("name", "town"):
        parts = [words(LISTS[kind][part]) for part in PARTS]
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]


def test_values_of_valid_and_test_stand_in_no_vocabulary():
    """Except numbers such as 20, which can be an age in one part and minutes in another."""
    known = set(value_words()) | set(ordinary_words())
    for kind in ("name", "town", "colour"):
        for part in ("valid", "test"):
            assert not words(LISTS[kind][part]) & known


@pytest.mark.parametrize("kind", ["name", "town", "pet"])
def test_made_up_values_belong_to_the_part_that_was_asked_for(kind):
    rng = np.random.default_rng(0)
    listed = words(value for lists in LISTS.values() for values in lists.values() for value in values)
    made = words(draw(kind, "test", rng) for _ in range(300)) - listed
    assert len(made) > 50
    assert {part_of(word) for word in made} == {"test"}
    assert words(draw(kind, "train", rng) for _ in range(300)) <= words(trained_values())


def test_parts_have_their_shares():
    counts = [sum(part_of(str(n)) == part for n in range(8000)) for part in PARTS]
    assert counts[0] == pytest.approx(6000, abs=200)
    assert counts[1] == pytest.approx(1000, abs=100)
