"""The audit runs tests once for each mistake, with the module replaced."""

import pytest

from minirnn.assignments import auditing
from minirnn.assignments.catalogue import gallery

TESTS = """
import numpy as np
from {module} import rnn_step_forward, rnn_step_backward

def test_bias():
    rng = np.random.default_rng(0)
    x, h, Wx, Wh, b = (rng.standard_normal(s) for s in [(1, 3), (1, 4), (3, 4), (4, 4), (4,)])
    out, cache = rnn_step_forward(x, h, Wx, Wh, b)
    dh = rng.standard_normal(out.shape)
    db = rnn_step_backward(dh, cache)[4]
    np.testing.assert_allclose(db, (dh * (1 - out ** 2)).sum(0))
"""


@pytest.fixture
def few(monkeypatch):
    chosen = [gallery.specimen(name) for name in ("tanh-slope-missing/rnn", "bias-batch/rnn", "f-input")]
    monkeypatch.setattr(auditing, "specimens", lambda: iter(chosen))
    monkeypatch.setattr(auditing, "SECTIONS", ("rnn", "lstm"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading plugins takes seconds in each run


def test_undetected_mistakes_are_reported(tmp_path, few):
    path = tmp_path / "test_theirs.py"
    path.write_text(TESTS.format(module="course.layers.rnn_layers"))
    audit = auditing.audit(path, "course.layers.rnn_layers")
    assert [s.mistake for s in audit.found] == ["tanh-slope-missing"]
    assert [s.mistake for s in audit.passed] == ["bias-batch"]  # a batch of one hides this mistake
    assert audit.untested == ["lstm"]
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".py"] == ["test_theirs.py"]


def test_tests_that_reject_the_right_answers_cannot_be_audited(tmp_path, few):
    path = tmp_path / "test_theirs.py"
    path.write_text("import rnn_layers\ndef test_it():\n    assert False, 'never'\n")
    with pytest.raises(auditing.AuditError, match="reject the model answers"):
        auditing.audit(path, "rnn_layers")


def test_tests_of_something_else_cannot_be_audited(tmp_path, few):
    path = tmp_path / "test_theirs.py"
    path.write_text("def test_it():\n    pass\n")
    with pytest.raises(auditing.AuditError, match="call none of the functions"):
        auditing.audit(path, "rnn_layers")
