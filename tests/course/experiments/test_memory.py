"""`memory`: its tasks ask for what came at least a lag before, errors are shares of doing nothing, and the verdict."""

import numpy as np
import pytest

from minirnn import Tensor, nn, random
from minirnn.course.experiments import memory
from minirnn.course.memory_tasks import COPIED, KEYS, MEMORY_TASKS, first_symbol_of

LAGS = [5, 30, 100]


def drawn(name, lag, batch=64, seed=0):
    return MEMORY_TASKS[name].draw(np.random.default_rng(seed), lag, batch)


@pytest.mark.parametrize("name", MEMORY_TASKS)
@pytest.mark.parametrize("lag", LAGS)
def test_a_task_has_the_shapes_it_says_and_the_same_seed_draws_the_same(name, lag):
    task = MEMORY_TASKS[name]
    x, targets = drawn(name, lag)
    assert x.dtype == np.float32
    assert x.shape[1:] == (64, task.inputs)
    assert targets.shape == (task.answers, 64)
    assert targets.dtype == (np.int64 if task.classes else np.float32)
    np.testing.assert_array_equal(x, drawn(name, lag)[0])


@pytest.mark.parametrize("lag", LAGS)
def test_the_first_symbol_is_asked_for_after_the_lag(lag):
    x, targets = drawn("first symbol", lag)
    np.testing.assert_array_equal(x[0].argmax(-1), targets[0])
    assert len(x) - 1 == lag
    assert (x[1:].argmax(-1) >= KEYS).all()


def test_the_first_symbol_is_one_of_so_many_keys():
    task = first_symbol_of(4)
    x, targets = task.draw(np.random.default_rng(0), 5, 200)
    assert set(targets.ravel()) == set(range(4))
    assert (x.shape[2], task.classes, task.nothing) == (task.inputs, 4, 0.75)


@pytest.mark.parametrize("lag", LAGS)
def test_the_marked_numbers_add_up_to_the_answer_and_the_first_lies_a_lag_before_it(lag):
    x, targets = drawn("adding", lag)
    marks = x[..., 1] == 1
    np.testing.assert_array_equal(marks.sum(axis=0), 2)
    np.testing.assert_allclose((x[..., 0] * marks).sum(axis=0), targets[0], rtol=1e-6)
    assert (len(x) - 1 - marks.argmax(axis=0) >= lag).all()


@pytest.mark.parametrize("lag", LAGS)
def test_the_order_is_that_of_the_two_symbols(lag):
    x, targets = drawn("temporal order", lag)
    for row, answer in zip(x.argmax(-1).T, targets[0], strict=True):
        places = np.flatnonzero(row < 2)
        assert len(places) == 2
        assert len(row) - 1 - places[0] >= lag
        assert answer == 2 * row[places[0]] + row[places[1]]


@pytest.mark.parametrize("lag", [11, 30])
def test_what_is_to_be_copied_came_a_lag_before(lag):
    x, targets = drawn("copy", lag)
    ids = x.argmax(-1)
    np.testing.assert_array_equal(ids[:COPIED], targets)
    assert len(ids) - COPIED == lag
    assert (np.flatnonzero(ids[:, 0] == 9) == len(ids) - COPIED - 1).all()


@pytest.mark.parametrize("name", MEMORY_TASKS)
def test_doing_nothing_and_chance_have_the_errors_that_the_task_says(name):
    task = MEMORY_TASKS[name]
    _, targets = drawn(name, 30, 20_000)
    _, others = drawn(name, 30, 20_000, seed=1)
    if task.classes:
        constant, guess = np.eye(task.classes)[0 * targets], np.eye(task.classes)[others]
    else:
        constant, guess = np.ones((*targets.shape, 1)), others[..., None]
    # 20,000 answers: 3 standard deviations are below 2.5 % of each of these.
    assert task.error(constant, targets) == pytest.approx(1, abs=0.03)
    assert task.error(guess, targets) == pytest.approx(task.chance / task.nothing, rel=0.03)


@pytest.mark.parametrize("name", MEMORY_TASKS)
def test_perfect_answers_have_no_error_and_little_loss(name):
    task = MEMORY_TASKS[name]
    _, targets = drawn(name, 7)
    scores = 30 * np.eye(task.classes)[targets] if task.classes else targets[..., None]
    assert task.error(scores, targets) == 0
    assert float(task.loss(Tensor(scores), targets).item()) < 1e-9
    assert float(task.loss(Tensor(-1 - scores), targets).item()) > 1


def test_the_networks_differ_in_their_gates_start_only():
    random.manual_seed(0)
    plain = memory.Reader(MEMORY_TASKS["adding"], "LSTM, plain start", 30, 4)
    random.manual_seed(0)
    gates = memory.Reader(MEMORY_TASKS["adding"], "LSTM", 30, 4)
    np.testing.assert_array_equal(plain.rnn.weight_hh_l0.data, gates.rnn.weight_hh_l0.data)
    assert (gates.rnn.bias_ih_l0.data[4:8] >= 0).all()
    rnn = memory.Reader(MEMORY_TASKS["adding"], "RNN", 30, 400).rnn
    assert abs(rnn.weight_hh_l0.data).max() == pytest.approx(1 / np.sqrt(400), rel=1e-3)


def tiny(**options):
    return memory.Setting(**{"task": "first symbol", "network": "LSTM", "lag": 3, "hidden": 16, "steps": 400} | options)


def test_a_short_lag_is_learnt_and_training_then_stops():
    r = memory.measure(tiny())
    assert r["error"] < memory.SOLVED
    assert r["trained"] < 400
    assert r["curve"][-1][0] == r["trained"]
    assert r["curve"][0][1] > 0.7


def test_the_same_seed_gives_the_same_numbers():
    once, again, other = (memory.measure(tiny(steps=2, seed=s)) for s in (1, 1, 2))
    assert once == again
    assert once["error"] != other["error"]


def test_diverging_counts_as_unsolved(monkeypatch):
    monkeypatch.setattr(memory, "error", lambda *arguments: float("nan"))
    r = memory.measure(tiny(steps=1))
    assert r["error"] is None
    assert memory.solved_share([r], "first symbol", "LSTM", 3) == 0


def result(network, lag, error, task="adding", seed=0, hidden=128):
    curve = [[0, 1.0], [100, error]]
    return {
        "task": task, "network": network, "lag": lag, "hidden": hidden, "seed": seed, "steps": 100,
        "curve": curve, "trained": 100, "error": error,
    }  # fmt: skip


def outcome(rnn_20, lstm_100):
    return memory.judge([result(n, lag, e) for n, lag, e in (("RNN", 20, rnn_20), ("LSTM", 100, lstm_100))])


@pytest.mark.parametrize(
    ("rnn_20", "lstm_100", "verdict"),
    [
        (0.9, 0.05, "held"),
        (0.05, 0.05, "held in part"),
        (0.9, 0.11, "held in part"),
        (0.05, 0.5, "did not hold"),
    ],
)
def test_the_verdict_follows_the_errors(rnn_20, lstm_100, verdict):
    assert outcome(rnn_20, lstm_100).verdict == verdict


@pytest.mark.parametrize(("error", "verdict"), [(0.05, "held"), (0.9, "held in part")])
def test_an_lstm_that_needs_help_to_remember_does_so_in_part(error, verdict):
    results = outcome(0.9, 0.05).numbers["results"]
    judged = memory.judge([*results, result(memory.PLAIN, 100, error)])
    assert judged.verdict == verdict
    assert ("starts as in PyTorch" in judged.why) == (verdict != "held")


def test_a_lag_is_solved_when_four_of_five_seeds_solve_it():
    four = [result("LSTM", 100, 0.05 if seed else 0.9, seed=seed) for seed in range(5)]
    three = [result("LSTM", 200, 0.05 if seed > 1 else 0.9, seed=seed) for seed in range(5)]
    other = [result("LSTM", 500, 0.0, hidden=256)]
    assert memory.longest_solved(four + three + other, "LSTM") == {"adding": 100}


def test_full_begins_with_lag_100_and_trains_nothing_twice():
    full = memory.settings("full", 0)
    assert full[:20] == memory.lag_100()
    assert len(set(full)) == len(full)
    assert {s.hidden for s in full} == {128, 256, 512}
    assert {s.lag for s in full} == set(memory.LAGS)


def test_tables_and_figure_show_every_network():
    pytest.importorskip("matplotlib")
    numbers = outcome(0.9, 0.05).numbers
    (table,) = memory.tables(numbers)
    assert table.rows[0] == ["RNN", 128, "90% (0/1)", ""]
    assert table.rows[1] == ["LSTM", 128, "", "5% (1/1)"]
    figure = memory.draw(numbers)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["RNN", "LSTM"]


def test_the_tasks_can_be_learnt_from_by_any_cell():
    for network in memory.NETWORKS:
        task = MEMORY_TASKS["copy"]
        model = memory.Reader(task, network, 12, 6)
        x, targets = drawn("copy", 12, 3)
        task.loss(model(x), targets).backward()
        assert all(isinstance(p, nn.Parameter) and p.grad is not None for p in model.parameters())
