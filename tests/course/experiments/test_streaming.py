"""The streaming experiment: the stream is the greedy text, a leak is seen, and the verdict comes out either way."""

import json

import numpy as np
import pytest

from minirnn import random
from minirnn.course.experiments import streaming
from minirnn.language.model import LanguageModel
from minirnn.language.sampling import generate
from minirnn.language import CharTokenizer


@pytest.fixture
def model():
    random.manual_seed(3)
    model = LanguageModel(6, "lstm", 5, embedding=3).eval()
    for weight in model.parameters():
        weight.data *= 5  # so that what is written isn't one token again and again
        weight.bump_version()
    return model


NUMBERS = {
    "size": {"steps": 1000, "prefixes": [1, 1000]},
    "percentiles_us": {"50": 20.0, "90": 30.0, "99": 40.0, "99.9": 90.0},
    "largest_us": 100.0,
    "cpu_median_us": [10.0, 10.5],
    "last_tenth_us": 10.5,
    "new_stream_us": 10.0,
    "allocated_bytes": 120,
    "resident_bytes": None,
    "state_bytes": 2048,
    "reread_us": [30.0, 9000.0],
}


def test_the_stream_is_the_greedy_text(model):
    model.linear.bias.data[0] = -50  # `generate` never draws the unknown token
    model.linear.bias.bump_version()
    tokenizer = CharTokenizer("abcde")
    ids = [int(logits.argmax()) for logits in streaming.stream(model, 20)]
    assert len(set(ids)) > 1
    # the stream reads its first token twice, once from the zero state
    assert tokenizer.decode(ids) == "".join(generate(model, tokenizer, "aa", 20, temperature=0))


def test_each_step_is_timed_and_a_new_stream_takes_turns_at_the_end(model, monkeypatch):
    steps, step = [], model.step
    monkeypatch.setattr(model, "step", lambda ids, states: steps.append(states) or step(ids, states))
    wall, cpu, new = streaming.latencies(model, 50)
    assert (len(wall), len(cpu), len(new)) == (50, 50, 5)
    assert (wall > 0).all()
    assert (cpu >= 0).all()
    np.testing.assert_array_equal(steps[46][0][0], steps[0][0][0])  # the new one begins after 46 steps of the old
    assert len(steps) == 55


def test_a_leak_is_seen(model, monkeypatch):
    assert abs(streaming.growth(model, 400)) < 20_000
    kept, step = [], model.step

    def leaking(ids, states):
        kept.append(np.zeros(1000))
        return step(ids, states)

    monkeypatch.setattr(model, "step", leaking)
    assert streaming.growth(model, 400) > 199 * 8000


def test_a_prefix_is_read_from_its_start(model, monkeypatch):
    lengths = []
    monkeypatch.setattr(streaming, "read", lambda _model, ids: lengths.append(ids.shape))
    monkeypatch.setattr(streaming, "VOCABULARY", 6)
    assert streaming.reread(model, 7, 3) >= 0
    assert lengths == [(7, 1)] * 3


def test_the_verdict_comes_out_either_way():
    assert streaming.judge(NUMBERS).verdict == "held"
    slower = streaming.judge(NUMBERS | {"last_tenth_us": 12.0})
    assert (slower.verdict, slower.why) == ("held in part", "Late and early steps differ by more than 10%.")
    assert "Memory grew" in streaming.judge(NUMBERS | {"allocated_bytes": 200_000}).why
    assert "Re-reading" in streaming.judge(NUMBERS | {"reread_us": [30.0, 50.0]}).why
    worst = NUMBERS | {"last_tenth_us": 12.0, "allocated_bytes": 200_000, "reread_us": [30.0, 50.0]}
    assert streaming.judge(worst).verdict == "did not hold"


def test_tables_and_figure_of_the_numbers():
    numbers = json.loads(json.dumps(NUMBERS, allow_nan=False))
    assert all(len(row) == len(table.header) for table in streaming.tables(numbers) for row in table.rows)
    assert len(streaming.draw(numbers).axes) == 2
