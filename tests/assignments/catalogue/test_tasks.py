"""The right results pass independent checks. Truncated gradients equal difference quotients with frozen states."""

from functools import partial

import numpy as np
import pytest

from minirnn.assignments import TASKS
from minirnn.assignments.catalogue import tasks
from minirnn.gradcheck import check, compare

WITH_GRADIENTS = [name for name, task in TASKS.items() if task.gradients]


def drawn(task, seed=0, **sizes):
    rng = np.random.default_rng(seed)
    full = {**dict(task.sizes), **sizes}
    given = tasks.arguments(task, full, rng)
    return given, tasks.upstreams(task, full, rng)


@pytest.mark.parametrize("name", WITH_GRADIENTS)
@pytest.mark.parametrize("seed", range(2))
def test_the_right_gradients_pass_the_check(name, seed):
    task = TASKS[name]
    given, into = drawn(task, seed)
    if task.combined:
        into = [np.ones(())]
    names = list(task.gradients.values())

    def forward(*values):
        full = {**given, **dict(zip(names, values, strict=True))}
        return (*tasks.right(task, full, into)[0], None)

    def backward(*upstreams_and_cache):
        gradients = tasks.right(task, given, list(upstreams_and_cache[:-1]))[1]
        return tuple(upstreams_and_cache[0] * g for g in gradients) if task.combined else tuple(gradients)

    upstream = into if len(into) > 1 else into[0]
    report = check(forward, backward, [given[n] for n in names], upstream=upstream, names=names)
    assert report, str(report)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_truncated_gradients_are_the_quotients_with_frozen_states(cell, k):
    """Each chunk of k steps is differentiated with its initial state held fixed."""
    task = tasks.chosen(truncate=k)[cell]
    given, into = drawn(task, T=5)
    frozen = tasks.trace(task, given).steps

    def loss(name, value):
        moved = {**given, name: value}
        total = 0.0
        for start in range(0, 5, k):
            part = {**moved, "x": moved["x"][:, start : start + k]}
            if start:
                part["h0"] = frozen[start - 1].h
            biases = tuple(part[b] for b in task.shapes if b.startswith("b"))
            c0 = frozen[start - 1].c if start and cell == "lstm" else None
            h = tasks.passes.forward(cell, task.gates, part["x"], part["h0"], c0, part["Wx"], part["Wh"], biases).h
            total += np.sum(h * into[0][:, start : start + k])
        return total

    quotients = [quotient(partial(loss, name), given[name]) for name in task.gradients.values()]
    report = compare(tasks.right(task, given, into)[1], quotients, names=list(task.gradients))
    assert all(row.error < 1e-8 for row in report.rows), str(report)


def quotient(f, x, h=1e-4):
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        values = []
        for step in (h, -h, 2 * h, -2 * h):
            moved = x.copy()
            moved[index] += step
            values.append(f(moved))
        gradient[index] = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * h)
    return gradient


def test_another_order_applies_to_the_cells_with_these_gates():
    found = tasks.chosen(gates="ifgo")
    assert found["lstm"].gates == found["lstm_step"].gates == "ifgo"
    assert found["gru"].gates == "rzn"


@pytest.mark.parametrize("gates", ["ifg", "abcd", "iiff", ""])
def test_impossible_orders_are_refused(gates):
    with pytest.raises(ValueError, match="gates must be an order"):
        tasks.chosen(gates=gates)


def test_signatures_are_those_of_the_course():
    task = TASKS["lstm_step"]
    assert task.signature() == "lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b) -> next_h, next_c, cache"
    assert task.backward_signature() == (
        "lstm_step_backward(dnext_h, dnext_c, cache) -> dx, dprev_h, dprev_c, dWx, dWh, db"
    )
    assert TASKS["temporal_softmax_loss"].signature() == "temporal_softmax_loss(x, y, mask) -> loss, dx"
