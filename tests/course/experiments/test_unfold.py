"""`unfold`: the parts of a shared weight's gradient, and a verdict that follows the numbers."""

import numpy as np
import pytest

from minirnn import Tensor, grad
from minirnn.course.experiments import unfold
from minirnn.recurrent import cells
from minirnn_kernels.cell import CELLS


@pytest.mark.parametrize("kind", CELLS)
def test_the_parts_are_the_gradients_of_each_steps_copy(kind):
    network = unfold.drawn_at_random(kind, seed=3, T=4)
    copies = [tuple(Tensor(w, requires_grad=True) for w in network.weights) for _ in network.x]
    states = [np.zeros((1, len(network.v)))] * len(CELLS[kind].states)
    loss = 0.0
    for x, wanted, weights in zip(network.x, network.targets, copies, strict=True):
        *states, _ = unfold.STEPS[kind](x[None], *states, *weights)
        loss = loss + ((states[0] @ network.v - wanted) ** 2).sum() / 2
    parts, _, _ = unfold.backward(network)
    for part, weights in zip(parts, copies, strict=True):
        wanted = grad(loss, weights, retain_graph=True)
        for ours, theirs in zip(part, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs.data, rtol=1e-12, atol=1e-14)


def test_differences_change_the_given_copies():
    network = unfold.drawn()
    parts, _, _ = unfold.backward(network)
    np.testing.assert_allclose(unfold.differences(network, 0, [1, 3]), parts[1][0] + parts[3][0], rtol=1e-8)


def test_a_backward_pass_without_the_next_steps_gradient_is_detected(monkeypatch):
    def forgetful(dh, cache):
        dx, dh_before, *parts = cells.rnn_step_backward(dh, cache)
        return dx, np.zeros_like(dh_before), *parts

    numbers = {"drawn": {}, "checks": [{"network": "right", "steps": 4, **unfold.check(unfold.drawn())}]}
    assert unfold.judge(numbers).verdict == "held"
    monkeypatch.setitem(unfold.STEPS_BACKWARD, "rnn", forgetful)
    numbers["checks"] += [{"network": "wrong", "steps": 4, **unfold.check(unfold.drawn())}]
    outcome = unfold.judge(numbers)
    assert outcome.verdict == "held in part"
    assert "wrong" in outcome.why
    assert unfold.judge({"drawn": {}, "checks": numbers["checks"][1:]}).verdict == "did not hold"


def test_the_figure_and_the_tables_show_the_numbers():
    pytest.importorskip("matplotlib")
    numbers = unfold.numbers_of(unfold.drawn())
    checks = [{"network": "drawn", "steps": 4, **unfold.check(unfold.drawn())}]
    shown = "\n".join(t.get_text() for axes in unfold.draw({"drawn": numbers}).axes for t in axes.texts)
    for part in numbers["parts"]:
        assert unfold._matrix(part) in shown
    gradient, off = unfold.tables({"drawn": numbers, "checks": checks})
    assert gradient.rows[1][-2] == numbers["sum"][0][1]
    assert off.rows[0][2] == checks[0]["sum"]
