"""The backward pass with switches: without switches it is right, and with any switch it is another function."""

import dataclasses

import numpy as np
import pytest

from minirnn.assignments import TASKS
from minirnn.assignments.catalogue import passes, tasks
from minirnn.assignments.catalogue.mistakes import MISTAKES
from minirnn.assignments.catalogue.variants import variants
from minirnn.recurrent import cells
from minirnn_kernels import cell

CELL_NAMES = list(cell.CELLS)
RECURRENT = ["rnn_step", "rnn", "lstm_step", "lstm", "gru_step", "gru"]


def drawn(name, seed=0, **sizes):
    task = TASKS[name]
    rng = np.random.default_rng(seed)
    full = {**dict(task.sizes), **sizes}
    return task, tasks.arguments(task, full, rng), tasks.upstreams(task, full, rng)


def by_cells(task, given, into):
    """Return outputs and gradients of minirnn's own cells, whose weights are (K, D) with the gates in another order."""
    own, theirs = task.gates, cell.CELLS[task.cell].gates
    H = given["Wh"].shape[0]
    columns = np.concatenate([np.arange(H) + own.index(g) * H for g in theirs])
    back = np.argsort(columns)
    W, U = given["Wx"][:, columns].T, given["Wh"][:, columns].T
    biases = [given[name][columns] for name in task.shapes if name.startswith("b")]
    step, backward = getattr(cells, f"{task.cell}_step"), getattr(cells, f"{task.cell}_step_backward")
    xs = given["x"] if task.sequence else given["x"][:, None]
    states = [given["h0"] if task.sequence else given["prev_h"]]
    if task.cell == "lstm":
        states.append(given.get("prev_c", np.zeros_like(states[0])))
    caches, hs = [], []
    for t in range(xs.shape[1]):
        *states, cache = step(xs[:, t], *states, W, U, *biases)
        caches.append(cache)
        hs.append(states[0])
    dh = into[0] if task.sequence else into[0][:, None]
    flow = [np.zeros_like(s) for s in states]
    if len(into) > 1:
        flow[1] = into[1]
    dx, totals = np.zeros_like(xs), 0
    for t in reversed(range(xs.shape[1])):
        d, *rest = backward(dh[:, t] + flow[0], *flow[1:], caches[t])
        dx[:, t] = d
        flow, weights = rest[: len(states)], rest[len(states) :]
        totals = weights if totals == 0 else [a + b for a, b in zip(totals, weights, strict=True)]
    shares = [totals[0].T[:, back], totals[1].T[:, back], *(b[back] for b in totals[2:])]
    outputs = [np.stack(hs, 1)] if task.sequence else states
    inputs = [dx, flow[0]] if task.sequence else [dx[:, 0], *flow]
    return outputs, [*inputs, *shares]


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("seed", range(3))
def test_with_no_switch_it_is_the_gradient_of_the_cells(name, seed):
    task, given, into = drawn(name, seed)
    found = tasks.right(task, given, into)
    for mine, theirs in zip(found, by_cells(task, given, into), strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", CELL_NAMES)
def test_every_variant_of_every_mistake_changes_something(name):
    """The gradients differ in a sequence of 4 or in a single step, with D != H or with D = H."""
    quiet = []
    for id in MISTAKES:
        for setting in variants(id, name, TASKS[name].gates, 4):
            if not any(differs(task, setting, D=D) for task in (name, f"{name}_step") for D in (3, 5)):
                quiet.append((id, setting))
    assert quiet == []


def differs(name, setting, **sizes):
    task, given, into = drawn(name, **sizes)
    trace = tasks.trace(task, given)
    try:
        wrong = tasks.predict(task, trace, into, setting)
    except ValueError:
        return False
    right = tasks.predict(task, trace, into, {})
    return any(a.shape != b.shape or not np.allclose(a, b, rtol=1e-9) for a, b in zip(wrong, right, strict=True))


@pytest.mark.parametrize("name", CELL_NAMES)
def test_a_window_of_the_whole_length_cuts_nothing(name):
    task, given, into = drawn(name)
    trace = tasks.trace(task, given)
    whole = passes.backward(trace, into[0], None)
    window = passes.backward(trace, into[0], None, passes.Switches(window=4))
    for gradient, value in whole.items():
        np.testing.assert_allclose(window[gradient], value, rtol=1e-12, atol=1e-14)


SWITCHES = [field.name for field in dataclasses.fields(passes.Switches)]


@pytest.mark.parametrize("name", SWITCHES)
def test_a_misspelt_switch_is_an_error(name):
    task, given, into = drawn("rnn")
    with pytest.raises(TypeError, match=f"{name}_"):
        tasks.predict(task, tasks.trace(task, given), into, {f"{name}_": "missing"})


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", ["mising", "", True, 1.5, ("cut", 2, "midle"), ("stop", "2"), ("i", "q"), ["i", "f"]])
def test_a_misspelt_value_is_an_error(name, value):
    with pytest.raises(TypeError, match=f"the switch {name} can't be"):
        passes.Switches(**{name: value})


def test_every_value_that_the_catalogue_uses_is_a_value_of_its_switch():
    """A switch that no mistake uses would be dead."""
    settings = [s for id in MISTAKES for name in CELL_NAMES for s in variants(id, name, TASKS[name].gates, 4)]
    for setting in settings:
        passes.Switches(**setting)
    assert {name for setting in settings for name in setting} == set(SWITCHES)
