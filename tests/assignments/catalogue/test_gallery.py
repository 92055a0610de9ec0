"""The check finds and names every planted mistake, and judges the model answers right."""

import pytest

from minirnn.assignments import TASKS, judge
from minirnn.assignments.catalogue import gallery
from tests.assignments.students import judged, load

SPECIMENS = list(gallery.specimens())
SAME = {"last-gradient-ignored": {"c-carry-dropped"}}  # the same function in a single step


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda s: s.name.replace(" ", "-"))
def test_each_mistake_is_named(specimen):
    finding = judged(specimen.source, specimen.task)
    assert finding.status == "wrong"
    assert finding.named[0] in {specimen.mistake} | SAME.get(specimen.mistake, set())
    assert specimen.lines


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(3))
def test_the_model_answers_are_right(task, seed):
    finding = judge(load(gallery.answers()), TASKS[task], seed)
    assert (finding.status, finding.problems, finding.notes) == ("right", [], [])


def test_all_mistakes_that_are_wrong_backwards_are_in_the_gallery():
    assert set(gallery.MISTAKES) - {s.mistake for s in SPECIMENS} == {"float32-step", "kink"}


def test_an_edit_that_matches_nothing_is_an_error():
    with pytest.raises(ValueError, match="no 'nowhere'"):
        gallery._edited("rnn", (("nowhere", "x"),))


def test_specimens_are_found_by_id_and_by_name():
    assert gallery.specimen("sign").section == "rnn"
    assert gallery.specimen("sign/softmax-loss").task == "temporal_softmax_loss"
    with pytest.raises(KeyError):
        gallery.specimen("nothing")
