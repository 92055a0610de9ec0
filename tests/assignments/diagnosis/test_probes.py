"""Probes: each changes what its name says, equal seeds give equal problems, and the base problem comes first."""

import numpy as np
import pytest

from minirnn.assignments import TASKS
from minirnn.assignments.diagnosis.probes import Probe, probes, problem

ALL = [(task, probe) for task in TASKS.values() for probe in probes(task)]


@pytest.mark.parametrize(("task", "probe"), ALL, ids=lambda v: v.name.replace(" ", ""))
def test_a_problem_is_fixed_by_its_seed_and_finite(task, probe):
    one, two, other = (problem(task, probe, seed, {}) for seed in (1, 1, 2))
    for name, value in one[0].items():
        np.testing.assert_array_equal(value, two[0][name]) if isinstance(value, np.ndarray) else None
    if "x" in one[0] and one[0]["x"].dtype.kind == "f":
        assert not np.array_equal(one[0]["x"], other[0]["x"])
    assert all(np.isfinite(u).all() for u in one[1])


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda t: t.name)
def test_the_base_comes_first_and_quick_has_fewer(task):
    assert probes(task)[0] == Probe("base")
    assert {p.name for p in probes(task, quick=True)} <= {p.name for p in probes(task)}


def made(name, task="lstm"):
    probe = next(p for p in probes(TASKS[task]) if p.name == name)
    return problem(TASKS[task], probe, 0, {})


def test_what_the_recurrent_probes_change():
    assert np.all(made("f shut")[0]["b"][5:10] == -40)
    assert not made("h0 = 0")[0]["h0"].any()
    assert not made("Wh = 0")[0]["Wh"].any()
    last = made("loss at the last step")[1][0]
    assert last[:, -1].all()
    assert not last[:, :-1].any()
    given, _ = made("D = H")
    assert given["Wx"].shape[0] == given["Wh"].shape[0]
    block = made("Wh symmetric")[0]["Wh"][:, 5:10]
    np.testing.assert_array_equal(block, block.T)
    np.testing.assert_allclose(made("upstream x 1e3")[1][0], 1e3 * made("base")[1][0])
    assert not made("dnext_c = 0", "lstm_step")[1][1].any()


def test_tokens_repeat_in_the_base_and_not_where_they_are_unique():
    assert len(np.unique(made("base", "word_embedding")[0]["x"])) < 8
    assert len(np.unique(made("unique tokens", "word_embedding")[0]["x"])) == 8


def test_sizes_of_the_base_are_pairwise_distinct():
    for task in TASKS.values():
        sizes = [size for _, size in task.sizes]
        assert len(set(sizes)) == len(sizes)
