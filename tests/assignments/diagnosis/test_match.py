"""Naming: the right mistake, both of two mistakes, and no name for errors that only resemble a known mistake."""

import numpy as np
import pytest
from student_files import mutants

from minirnn.assignments import MISTAKES, TASKS, judge
from minirnn.assignments.catalogue import gallery
from tests.assignments.students import answers, judged, load

SAMPLE = [m for m in mutants.MUTANTS if m.kind == "numbers" and m.task == m.cell][::9]


@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda m: m.name.replace(" ", "-"))
def test_independent_mutants_are_named(mutant):
    named = judged(mutant.source, mutant.task).named
    assert set(named) <= {mutant.mistake, *mutant.also}
    assert named


@pytest.mark.parametrize("mutant", SAMPLE[::2], ids=lambda m: m.name.replace(" ", "-"))
def test_what_is_not_in_the_catalogue_is_not_named(mutant):
    out = frozenset({mutant.mistake, *mutant.also})
    finding = judged(mutant.source, mutant.task, without=out)
    assert finding.status == "wrong"
    assert finding.places
    assert finding.named == []


@pytest.mark.parametrize("size", [1e-7, 1e-3, 1.0])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_random_errors_have_no_name(cell, size):
    plain = load(gallery.answers()).functions[f"{cell}_backward"]

    def noisy(dh, cache):
        rng = np.random.default_rng(0)
        scale = np.abs(dh).max()
        return tuple(g + size * scale * rng.standard_normal(g.shape) for g in plain(dh, cache))

    finding = judge(answers(**{f"{cell}_backward": noisy}), TASKS[cell])
    assert (finding.status, finding.named) == ("wrong", [])


def test_a_mistake_scaled_down_is_not_named_after_the_whole_one():
    """The right gradient plus a thousandth of the error of a known mistake is wrong, and has no name."""
    plain, planted = (
        load(text).functions["lstm_backward"] for text in (gallery.answers(), gallery.specimen("loop-forward").source)
    )

    def between(dh, cache):
        pairs = zip(plain(dh, cache), planted(dh, cache), strict=True)
        return tuple(a + 1e-3 * (b - a) for a, b in pairs)

    finding = judge(answers(lstm_backward=between), TASKS["lstm"])
    assert (finding.status, finding.named) == ("wrong", [])


TWO = [
    ("fused", "lstm", "sigmoid-slope-missing", "initial-state-forgotten"),
    ("stacked", "gru", "z-path-missing", "bias-batch"),
    ("separate", "rnn", "tanh-slope-missing", "batch-scale"),
    ("separate", "lstm", "c-carry-dropped", "f-input"),
]


@pytest.mark.parametrize("case", TWO, ids=lambda case: " and ".join(case[2:]))
def test_two_at_once_are_both_named(case):
    style, cell, *both = case
    one, two = (next(m for m in mutants.MUTANTS if (m.mistake, m.style, m.cell) == (id, style, cell)) for id in both)
    source = mutants.edited(style, cell, [*one.edits, *two.edits])
    assert set(judged(source, cell).named) == set(both)


def test_equal_functions_are_named_side_by_side():
    """An RNN without the carry of dh equals an RNN truncated to one step."""
    finding = judged(gallery.specimen("h-carry-dropped/rnn").source, "rnn")
    assert [cause.ids for cause in finding.causes] == [
        ("h-carry-dropped",),
        ("carries-never-assigned",),
        ("truncated",),
    ]


def test_an_empty_catalogue_names_nothing():
    finding = judged(gallery.specimen("sign/rnn").source, "rnn", without=frozenset(MISTAKES))
    assert (finding.status, finding.named) == ("wrong", [])


def test_clipping_is_named_with_its_limit():
    finding = judged(gallery.specimen("clipped").source, "lstm")
    assert finding.causes[0].note == "clipped by value at 5"
