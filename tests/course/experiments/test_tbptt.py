"""Truncation: the pieces' losses add up to the whole one, their gradients leave out what crosses a border, no more."""

import numpy as np
import pytest

import minirnn
from minirnn import nn, random
from minirnn.course.experiments import tbptt
from minirnn.language.model import LanguageModel

T, B, V = 12, 3, 7


@pytest.fixture(autouse=True)
def _kernels_that_need_no_compiling():
    with minirnn.kernels("numpy"):
        yield


@pytest.fixture
def model():
    random.manual_seed(0)
    return LanguageModel(V, "rnn", hidden=5, embedding=4, dtype=np.float64)


@pytest.fixture
def window():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, V, (T, B))
    targets[3:6] = tbptt.IGNORED  # with k = 3, a piece of these only
    return rng.integers(0, V, (T, B)), targets


@pytest.mark.parametrize("k", [1, 3, 5, T, 2 * T])
def test_the_losses_of_pieces_add_up_to_the_loss(model, window, k):
    logits, _ = model(window[0])
    whole = nn.cross_entropy(logits.reshape(-1, V), window[1].reshape(-1))
    assert sum(loss.item() for loss in tbptt.segments(model, *window, k)) == pytest.approx(whole.item())
    if k >= T:
        whole.backward()
        wanted = model.rnn.weight_hh_l0.grad.ravel()
        np.testing.assert_allclose(tbptt.gradient(model, window, k)["W_hh"], wanted, rtol=1e-10)


def test_truncated_to_one_step_the_gradient_of_W_hh_is_that_of_each_step_with_the_state_before_it_given(model, window):
    ids, targets = window
    rnn, wanted = model.rnn, 0.0
    h = np.zeros((B, 5))
    for t in range(T):
        x = model.embedding.weight.data[ids[t]]
        bias = rnn.bias_ih_l0.data + rnn.bias_hh_l0.data
        after = np.tanh(x @ rnn.weight_ih_l0.data.T + h @ rnn.weight_hh_l0.data.T + bias)
        if targets[t, 0] != tbptt.IGNORED:
            logits = after @ model.linear.weight.data.T + model.linear.bias.data
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(V)[targets[t]]
            dh = p @ model.linear.weight.data / np.count_nonzero(targets != tbptt.IGNORED)
            wanted = wanted + (dh * (1 - after**2)).T @ h
        h = after
    np.testing.assert_allclose(tbptt.gradient(model, window, 1)["W_hh"], wanted.ravel(), rtol=1e-10)


def test_the_bias_falls_to_nothing(model, window):
    rows = [tbptt.bias(model, [window], k) for k in (1, 4, T)]
    distances = [row["distance, W_hh"] for row in rows]
    assert distances[0] > distances[1] > distances[2] == 0
    assert rows[2]["cosine, all"] == pytest.approx(1)
    assert rows[0]["cosine, W_hh"] < 0.99


def test_memory_grows_with_the_pieces(model):
    rng = np.random.default_rng(1)
    long = rng.integers(0, V, (100, 40)), rng.integers(0, V, (100, 40))
    cut, whole = (tbptt.cost(model, long, k, repeats=1) for k in (10, 100))
    assert cut["megabytes"] < whole["megabytes"] / 4
    assert cut["milliseconds"] > 0


def numbers(text, recall, memory):
    cost = [{"megabytes": m, "milliseconds": 1.0} for m in memory]
    return {
        "updates": 400,
        "length": 64,
        "cuts": [8, 16, 64],
        "gap": 10,
        "text": [text],
        "recall": [recall],
        "cost": cost,
    }


def test_the_verdict_comes_from_the_numbers():
    assert tbptt.judge(numbers([2.2, 2.01, 2.0], [0.3, 0.9, 1.0], [1, 2, 5])).verdict == "held"
    part = tbptt.judge(numbers([2.2, 2.05, 2.0], [0.3, 0.9, 1.0], [1, 2, 5]))
    assert part.verdict == "held in part"
    assert "0.050 nats" in part.why
    assert "measurable" not in part.why
    assert tbptt.judge(numbers([2.2, 2.1, 2.0], [0.9, 0.3, 1.0], [5, 5, 5])).verdict == "did not hold"


def test_a_loss_that_no_truncation_makes_worse_does_not_count():
    held = tbptt.judge(numbers([2.017, 2.046, 2.049], [0.3, 0.9, 1.0], [1, 2, 5]))
    assert held.verdict == "held"
    assert "costs -0.003 nats per character, and k = 8 costs -0.032 (not counted)" in held.measured
    assert "isn't measurable after 400 updates: even k = 8 ends at 2.017" in held.why
    other = tbptt.judge(numbers([2.06, 2.1, 2.049], [0.9, 0.3, 1.0], [5, 5, 5]))  # 0.051 nats, but not counted
    assert other.verdict == "did not hold"
    assert "0.051" not in other.why
    assert "isn't measurable" in other.why


def test_the_figure_and_the_tables_show_the_numbers():
    pytest.importorskip("matplotlib")
    shown = numbers([2.2, 2.1, 2.0], [0.3, 0.9, 1.0], [1, 2, 5])
    row = {f"{what}, {of}": 0.5 for what in ("distance", "cosine") for of in ("all", "W_hh")}
    shown["bias"] = {state: [[row] * 3] for state in ("untrained", "trained")}
    figure = tbptt.draw(shown)
    assert list(figure.axes[1].lines[0].get_ydata()) == [2.2, 2.1, 2.0]
    _, after = tbptt.tables(shown)
    assert after.rows[1] == ["16", 2.1, 0.9, 1.0, 2]
