"""A wrong forward pass: the report names the entry, the step, and a known forward pass that gives the same outputs."""

import numpy as np
import pytest

from minirnn.assignments import TASKS, judge
from minirnn.assignments.catalogue import gallery
from tests.assignments.students import answers, load

PLAIN = load(gallery.answers()).functions


def problems(task, **replaced):
    finding = judge(answers(**replaced), TASKS[task])
    assert (finding.status, finding.stage) == ("wrong", "forward")
    return finding.problems


def test_the_first_wrong_step_is_named():
    def forward(*arguments):
        h, cache = PLAIN["gru_forward"](*arguments)
        h[:, 2:] *= 1.01
        return h, cache

    found = problems("gru", gru_forward=forward)
    assert found[0].startswith("gru_forward: h is wrong, first at step 2: h[")
    assert any("don't belong to this forward pass either" in text for text in found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, h0, Wx, Wh, b: (x, h0, Wx, Wh, 0 * b), "without the bias"),
        (lambda x, h0, Wx, Wh, b: (x, 0 * h0, Wx, Wh, b), "ignores h0"),
    ],
)
def test_known_other_forwards(change, words):
    found = problems("lstm", lstm_forward=lambda *a: PLAIN["lstm_forward"](*change(*a)))
    assert any(words in text for text in found)


def test_values_without_gradients():
    found = problems("clip_grad_norm", clip_grad_norm=lambda grads, max_norm: [g * 0.5 for g in grads])
    assert found[0].startswith("clip_grad_norm: clipped[0] is wrong: clipped[0][")
    always = lambda grads, max_norm: [g * max_norm / np.sqrt(sum(np.sum(g * g) for g in grads)) for g in grads]
    assert problems("clip_grad_norm", clip_grad_norm=always)[0].startswith("when nothing needs clipping: ")
    assert "returned 1 arrays, expected 2" in problems("clip_grad_value", clip_grad_value=lambda g, limit: [g[0]])[0]


def test_malformed_outputs():
    found = problems("rnn", rnn_forward=lambda *a: (np.zeros((1, 2)), None), rnn_backward=lambda dh, cache: (dh,) * 5)
    assert "its shape is (1, 2), expected (2, 4, 5)" in found[0]
