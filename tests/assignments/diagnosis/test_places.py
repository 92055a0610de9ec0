"""Places: wrong tensors, blocks and steps, and why a result can't be compared."""

import numpy as np
import pytest

from minirnn.assignments import TASKS
from minirnn.assignments.diagnosis.places import drawn, malformation, places
from minirnn.assignments.diagnosis.probe_results import Trial
from minirnn.assignments.diagnosis.probes import Probe
from minirnn.assignments.sandbox.observe import Functions, Observation


class Right(Functions):
    """Functions that return the right gradients, changed in place by `spoil`."""

    def __init__(self, spoil):
        super().__init__({})
        self.spoil = spoil

    def run(self, task, given, into, careful=False):
        from minirnn.assignments.catalogue.tasks import right

        outputs, gradients = right(task, given, into)
        self.spoil(dict(zip(task.gradients, gradients, strict=True)))
        return Observation(outputs, gradients)


def found(spoil, task="lstm"):
    return {p.tensor: p for p in places(Trial(Right(spoil), TASKS[task]).run(Probe("base")))}


def test_a_block_and_a_step_alone():
    def spoil(g):
        g["dWx"][:, 5:10] *= 2
        g["dx"][:, 2] += 1

    p = found(spoil)
    assert p["dWx"].blocks == {"i": False, "f": True, "o": False, "g": False}
    assert p["dx"].steps == [False, False, True, False]
    assert [name for name, place in p.items() if place.wrong] == ["dx", "dWx"]
    lines = drawn(list(p.values()))
    assert lines[0].split() == ["dx", "wrong", "steps", "..x."]
    assert lines[2].split() == ["dWx", "wrong", "blocks", "i.", "fx", "o.", "g."]


def test_the_worst_entry_with_both_values():
    def spoil(g):
        g["db"][7] += 3
        g["db"][1] += 1

    place = found(spoil)["db"]
    assert place.index == (7,)
    assert place.got == pytest.approx(place.expected + 3)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (None, "it is None"),
        (np.zeros(3), "its shape is (3,), expected (2,)"),
        (np.zeros(2, int), "dtype is int64"),
        (np.zeros(2, bool), "dtype is bool"),
        (np.zeros(2, complex), "complex"),
        (np.array([1, np.inf]), "1 of 2 entries aren't finite, the first at (1,)"),
        (np.array(["a", "b"]), "isn't an array of numbers"),
        (np.zeros(2), ""),
    ],
)
def test_malformations(seen, words):
    assert words in malformation(seen, np.zeros(2))
    assert bool(words) == bool(malformation(seen, np.zeros(2)))
