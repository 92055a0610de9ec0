"""`exposure`: its measures on known cases, and a verdict that follows the numbers."""

import json

import numpy as np
import pytest

from minirnn import no_grad
from minirnn.course.experiments import exposure
from minirnn.nn import cross_entropy
from minirnn.language.scheduled_sampling import mixed_inputs
from minirnn.language import Corpus


@pytest.fixture(scope="module")
def trainer():
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(["the ", "cat ", "sat ", "on ", "mat. "], 20_000))
    return exposure.train(Corpus(text, "made", ""), "linear", 2, 0, lambda done: None)


@pytest.fixture(scope="module")
def numbers(trainer):
    measured = exposure.measure(trainer, 2, 40, 1)
    real = exposure.repetition(exposure.real_texts(trainer, 2, 40), exposure.known_words(trainer))
    models = {teacher: exposure.averaged([measured, measured]) for teacher in exposure.TEACHERS}
    size = {"length": 40}
    return json.loads(json.dumps({"size": size, "own": exposure.OWN, "models": models, "real": real}, allow_nan=False))


def with_loops(numbers, **loops):
    changed = json.loads(json.dumps(numbers))
    for teacher, share in loops.items():
        changed["models"][teacher.replace("_", "-")]["decoders"]["greedy"]["loops"] = share
    return changed


def test_repetition_of_known_texts():
    loop = "a cat " * 10
    found = exposure.repetition([loop, "the quick brown fox jumps over the lazy dog"], {"a", "cat"})
    assert found["loops"] == 0.5
    assert found["repeated"] == pytest.approx((49 - 6) / 49 / 2)  # the loop has 49 12-grams, 6 of them distinct
    assert found["known"] == 19 / (19 + 8)  # the last word of each text is not counted
    assert exposure.known_share(["...", ""], {"a"}) is None


def test_without_own_inputs_the_loss_is_that_of_teacher_forcing(trainer):
    x, y = trainer.valid_ids[:-1], trainer.valid_ids[1:]
    streams = len(x) // 32
    with no_grad():
        read = x[: 32 * streams].reshape(32, streams).T[:64]
        logits = trainer.model.eval()(read)[0]
    trainer.model.train()
    targets = y[: 32 * streams].reshape(32, streams).T[:64]
    expected = cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)).item()
    assert exposure.exposed_loss(trainer, 0.0, 1) == pytest.approx(expected, rel=1e-5)
    assert exposure.exposed_loss(trainer, 1.0, 1) != pytest.approx(expected, rel=1e-3)


def test_each_window_starts_from_the_true_text(trainer, monkeypatch):
    """The samples in the previous window have no effect."""
    given = []

    def recorded(model, x, carried, epsilon, rng):
        given.append((x, carried))
        return mixed_inputs(model, x, carried, epsilon, rng)

    monkeypatch.setattr(exposure, "mixed_inputs", recorded)
    exposure.exposed_loss(trainer, 1.0, 2)
    (first, none), (_second, carried) = given
    assert none is None
    with no_grad():
        _logits, state = trainer.model(first)
    np.testing.assert_array_equal(carried[0], state.data)


def test_the_real_texts_follow_the_prompts(trainer):
    text = trainer.tokenizer.decode(trainer.valid_ids)
    starts, real = exposure.held_out(trainer, 3, exposure.PROMPT), exposure.real_texts(trainer, 3, 50)
    assert all(prompt + after in text for prompt, after in zip(starts, real, strict=True))
    assert {len(after) for after in real} == {50}


def test_averages_keep_the_structure():
    runs = [{"a": [1.0, None], "text": "x"}, {"a": [2.0, 3.0], "text": "y"}]
    assert exposure.averaged(runs) == {"a": [1.5, None], "text": "x"}


def test_the_verdict_follows_the_numbers(numbers):
    always = {"always": 0.8, "linear": 0.8, "exponential": 0.8, "inverse_sigmoid": 0.8}
    assert exposure.judge(with_loops(numbers, **always)).verdict == "did not hold"
    assert exposure.judge(with_loops(numbers, **always | {"linear": 0.4})).verdict == "held in part"
    cured = {"always": 0.8, "linear": 0.4, "exponential": 0.1, "inverse_sigmoid": 0.0}
    assert exposure.judge(with_loops(numbers, **cured)).verdict == "held"
    assert "hardly loops" in exposure.judge(with_loops(numbers, **cured | {"always": 0.05})).why


def test_tables_and_figure_of_the_numbers(numbers):
    for table in exposure.tables(numbers):
        assert all(len(row) == len(table.header) for row in table.rows)
    left, right = exposure.draw(numbers).axes
    assert len(left.lines) == len(exposure.TEACHERS)
    assert len(right.patches) == len(exposure.TEACHERS) * len(exposure.DECODERS)
