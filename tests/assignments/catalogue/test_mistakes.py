"""The catalogue: every entry is complete, and every builder of variants belongs to an entry."""

import re

import pytest

from minirnn.assignments import MISTAKES
from minirnn.assignments.catalogue.variants import BUILDERS, variants

FAMILIES = {
    "batch and scale",
    "local derivative",
    "recursion",
    "linear algebra",
    "state and precision",
    "output and embedding",
}


@pytest.mark.parametrize("id", MISTAKES)
def test_an_entry_is_complete(id):
    mistake = MISTAKES[id]
    assert mistake.id == id
    assert mistake.family in FAMILIES
    assert all([mistake.title, mistake.wrong, mistake.right, mistake.look, mistake.effect])
    assert not re.search(r"\.$", mistake.title)


def test_builders_belong_to_entries():
    assert set(BUILDERS) <= set(MISTAKES)


def test_cells_have_only_variants_that_are_possible_in_them():
    assert not list(variants("f-input", "rnn", "h", 4))
    assert not list(variants("z-sign", "lstm", "ifog", 4))
    assert len(list(variants("sigmoid-slope-missing", "lstm", "ifog", 4))) == 7
    assert not list(variants("truncated", "rnn", "h", 1))
    assert not list(variants("sign", "rnn", "h", 4))  # a mistake of finished tensors, without switches
