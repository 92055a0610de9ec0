"""`size`: its counts compared with the model's weights, its times, and a verdict that follows the numbers."""

import json

import numpy as np
import pytest

from minirnn.course.experiments import size
from minirnn.language.model import LanguageModel
from minirnn.language import Corpus


def made(losses, rates):
    """Return numbers with these losses at equal work and bytes per second of a step, for 128, 256 and 512 units."""
    one = {"steps": 10.0, "seconds": 1.0, "operations_per_second": 1e9}
    return {
        "size": {},
        "trained": [
            {"hidden": h} | {name: one | {"loss": loss} for name in size.COMPARED}
            for h, loss in zip(size.TRAINED, losses, strict=True)
        ],
        "stepped": [
            {"hidden": h, "seconds": 1e-5, "bytes": 1000, "bytes_per_second": rate}
            for h, rate in zip((32, *size.TRAINED, 1024), (9e10, *rates, 9e10), strict=True)
        ],
        "machine": {"operations_per_second": 1e10, "bytes_per_second": 1e10},
    }


@pytest.mark.parametrize("hidden", [8, 20])
def test_each_weight_of_a_product_is_one_multiplication(hidden):
    model = LanguageModel(37, "lstm", hidden, embedding=size.EMBEDDING)
    weights = {name: p.data.size for name, p in model.named_parameters() if "bias" not in name}
    del weights["embedding.weight"]  # looked up, not multiplied
    assert size.multiplications(hidden, 37) == sum(weights.values())


def test_a_run_is_counted_and_timed():
    text = "".join(np.random.default_rng(0).choice(list("the cat sat. "), 2000))
    run = size.train(Corpus(text, "made", ""), 8, 3, 0)
    vocabulary = len(set(text)) + 1
    operations = 6 * size.multiplications(8, vocabulary) * size.BATCH * size.SEQ * 3
    assert run["operations_per_second"] * run["seconds"] == pytest.approx(operations)
    assert 0 < run["loss"] < 2 * np.log(vocabulary)


def test_the_bytes_of_a_step_are_its_weights():
    rate = size.step_rate(8, 37, 20)
    assert rate["bytes"] == 4 * size.multiplications(8, 37)
    assert rate["bytes_per_second"] == rate["bytes"] / rate["seconds"]


def test_the_verdict_follows_the_numbers():
    """The other sizes, which are faster here, do not affect the verdict."""
    assert size.judge(made((3, 2, 4), (1e9, 3e9, 2e9))).verdict == "held"
    assert size.judge(made((3, 2, 4), (1e9, 2e9, 3e9))).verdict == "held in part"
    assert size.judge(made((1, 2, 4), (1e9, 3e9, 2e9))).verdict == "held in part"
    outcome = size.judge(made((1, 2, 4), (1e9, 2e9, 3e9)))
    assert outcome.verdict == "did not hold"
    assert outcome.why.startswith("At equal work, 128 units have the lowest loss, and 512 move the most bytes per second.")
    assert "256 units are 1.00 nats behind" in outcome.why


def test_tables_and_figure_of_the_numbers():
    numbers = json.loads(json.dumps(made((3, 2, 4), (1e9, 3e9, 2e9)), allow_nan=False))
    assert all(len(row) == len(table.header) for table in size.tables(numbers) for row in table.rows)
    assert len(size.draw(numbers).axes) == 2
