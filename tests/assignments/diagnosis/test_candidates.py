"""Candidates: every task has distinct ones, none predicts the right gradients, and pairs need different switches."""

import numpy as np
import pytest

from minirnn.assignments import MISTAKES, TASKS
from minirnn.assignments.diagnosis.candidates import CandidateMistake, candidates
from minirnn.assignments.diagnosis.probe_results import Trial
from minirnn.assignments.diagnosis.probes import Probe
from tests.assignments.diagnosis.test_places import Right

RIGHT = Right(lambda g: None)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "word_embedding", "temporal_softmax_loss", "attention"])
def test_predictions_have_the_shapes_of_the_gradients(name):
    result = Trial(RIGHT, TASKS[name]).run(Probe("base"))
    found = list(candidates(result.task, 4))
    assert found
    assert {c.ids[0] for c in found} <= set(MISTAKES)
    assert len({(c.ids, str(c.setting), id(c.formula)) for c in found}) == len(found)
    for candidate in found:
        prediction = candidate.predict(result)
        if prediction is not None:
            assert len(prediction) == len(result.right)
            assert any(
                p.shape != r.shape or not np.allclose(p, r) for p, r in zip(prediction, result.right, strict=True)
            ) or candidate.ids[0] in ("last-gradient-ignored", "initial-state-forgotten", "c-carry-dropped")


def test_excluded_mistakes_have_no_candidates():
    assert "sign" not in {c.ids[0] for c in candidates(TASKS["rnn"], 4, frozenset({"sign", "h-input"}))}
    assert "h-input" not in {c.ids[0] for c in candidates(TASKS["rnn"], 4, frozenset({"sign", "h-input"}))}


def test_pairs_need_different_switches():
    a, b = CandidateMistake(("x",), {"h0": "zero"}), CandidateMistake(("y",), {"bias": "mean"})
    assert a.with_other(b) == CandidateMistake(("x", "y"), {"h0": "zero", "bias": "mean"})
    assert a.with_other(CandidateMistake(("z",), {"h0": "first"})) is None
