"""The model answers equal independent computations. test_gallery.py shows that the check judges them right."""

import numpy as np
import pytest

from minirnn.assignments import TASKS
from minirnn.assignments.catalogue import answers, tasks
from tests.assignments.catalogue.test_passes import RECURRENT, by_cells, drawn


@pytest.mark.parametrize("name", RECURRENT)
def test_the_recurrent_answers_equal_the_cells(name):
    task, given, into = drawn(name)
    *outputs, cache = getattr(answers, task.forward)(*given.values())
    gradients = getattr(answers, task.backward)(*into, cache)
    for mine, theirs in zip((outputs, gradients), by_cells(task, given, into), strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def embedding(x, W):
    return [np.stack([np.stack([W[token] for token in row]) for row in x])]


def loss(x, y, mask):
    total = 0.0
    for n, t in np.argwhere(mask):
        total += np.log(np.sum(np.exp(x[n, t]))) - x[n, t, y[n, t]]
    return [total / len(x)]


def attention(query, keys, values, mask):
    rows = []
    for q, k, v, m in zip(query, keys, values, mask, strict=True):
        weights = np.exp(k[m] @ q / np.sqrt(len(q)))
        rows.append(weights @ v[m] / weights.sum())
    return [np.stack(rows)]


def clipped_norm(grads, max_norm):
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in grads]))
    return [g * max_norm / norm for g in grads] if norm > max_norm else grads


def clipped_values(grads, limit):
    return [np.where(abs(g) > limit, np.sign(g) * limit, g) for g in grads]


ORACLES = {
    "word_embedding": embedding,
    "temporal_softmax_loss": loss,
    "attention": attention,
    "clip_grad_norm": clipped_norm,
    "clip_grad_value": clipped_values,
}


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("options", [{}, {"full": 1, "large": 1}])
@pytest.mark.parametrize("seed", range(3))
def test_the_other_outputs_equal_a_plain_computation(name, options, seed):
    """test_tasks.py compares their gradients with difference quotients."""
    task, given, into = drawn(name, seed, **options)
    outputs, _ = tasks.right(task, given, into)
    for mine, theirs in zip(outputs, ORACLES[name](**given), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-13)


def test_every_task_has_an_independent_computation():
    assert {*RECURRENT, *ORACLES} == set(TASKS)
