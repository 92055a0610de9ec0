"""The process-wide generator: seeding, and a state that JSON can represent."""

import json

import numpy as np
import pytest

from minirnn import random


def test_seed_fixes_the_draws_and_references_stay_valid():
    held = random.generator()
    random.manual_seed(7)
    first = held.standard_normal(5)
    random.manual_seed(7)
    assert np.array_equal(first, random.generator().standard_normal(5))
    assert held is random.generator()


def test_draws_equal_numpys_own_generator_of_that_seed():
    assert np.array_equal(random.manual_seed(3).random(4), np.random.default_rng(3).random(4))


def test_state_continues_the_draws_through_json():
    random.manual_seed(1)
    random.generator().integers(10, dtype=np.int32)  # leaves half of a 64-bit draw in the state
    state = json.loads(json.dumps(random.get_state()))
    expected = random.generator().integers(1000, size=3, dtype=np.int32)
    random.manual_seed(2)
    random.set_state(state)
    assert np.array_equal(random.generator().integers(1000, size=3, dtype=np.int32), expected)


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None, True])
def test_a_bad_seed_is_named(seed):
    with pytest.raises(ValueError, match="seed: expected an int >= 0"):
        random.manual_seed(seed)


@pytest.mark.parametrize("state", [{}, {"bit_generator": "MT19937"}, {"bit_generator": "PCG64", "state": {"state": 1}}])
def test_a_bad_state_is_refused(state):
    with pytest.raises(ValueError, match="expected a state of the random generator"):
        random.set_state(state)
