"""`clipping`: the definition of an explosion, runs that end early, the clipped steps, and the verdict."""

import json
import math

import numpy as np
import pytest

from minirnn.course.experiments import clipping
from minirnn.language import Corpus
from minirnn.language.training import Trainer

TEXT = Corpus("".join(np.random.default_rng(0).choice(list("the cat sat. "), 2000)), "made", "")


def made(**exploding):
    """Return the numbers of 10 runs for each kind of clipping, with the given numbers of exploding runs (default 10).

    There are also 10 runs from the chaotic start; `new` of them explode with clipping by norm at 5, and none without.
    """
    new = exploding.pop("new", 0)
    exploding = {"none": 10} | {name.replace("_", " ").replace("01", "0.1"): k for name, k in exploding.items()}
    runs = [
        {"way": way, "start": "standard", "rate": 2.0, "seed": seed, "exploded": seed < exploding.get(way, 10)}
        | {"end": 3.0, "largest_norm": 10.0}
        for way in clipping.LIMITS
        for seed in range(10)
    ]
    runs += [
        {"way": way, "start": "chaotic", "rate": 0.5, "seed": seed, "exploded": way == "norm 5" and seed < new}
        | {"end": None, "largest_norm": 1e5}
        for way in clipping.LIMITS
        for seed in range(10)
    ]
    curve = {"losses": [4.0, 3.0, 9.0], "norms": [1.0, 2.0, 700.0]}
    rates = {"standard": [2.0], "chaotic": [0.5]}
    return {
        "size": {"rates": rates, "seeds": 10},
        "guess_loss": 4.0,
        "unigram_loss": 3.1,
        "runs": runs,
        "curves": dict.fromkeys(clipping.LIMITS, curve),
    }


def test_an_explosion_is_an_end_above_the_unigram_model_or_no_number():
    losses = [4.0, 50.0, 9.0] + [2.3] * clipping.LAST  # a temporary jump
    quiet = clipping.summary(losses, [1.0, 2.0, 1.5], len(losses), 3.2)
    assert quiet == {"exploded": False, "end": pytest.approx(2.3), "largest_norm": 2.0}
    assert clipping.summary([4.0] + [3.3] * clipping.LAST, [1.0], 1 + clipping.LAST, 3.2)["exploded"]
    early = clipping.summary([4.0, 3.1], [1.0, 8.0], 3, 3.2)
    assert early == {"exploded": True, "end": None, "largest_norm": 8.0}


def test_a_diverging_run_ends_early():
    losses, norms = clipping.train(Trainer(clipping.config("none", 1e38, 0, 20), TEXT))
    assert 1 <= len(losses) < 20
    assert len(norms) == len(losses)
    assert all(map(math.isfinite, losses + norms))


@pytest.mark.parametrize("way", clipping.LIMITS)
def test_the_first_step_is_as_long_as_its_limit_allows(way):
    """The learning rate is 1, and a large last layer makes the norm of the gradient large."""
    trainer = Trainer(clipping.config(way, 1.0, 0, 5), TEXT)
    trainer.model.linear.weight.data *= 500
    trainer.model.linear.weight.bump_version()
    before = [p.data.copy() for p in trainer.model.parameters()]
    norm = trainer.step().grad_norm
    moved = np.concatenate([(p.data - b).ravel() for p, b in zip(trainer.model.parameters(), before, strict=True)])
    limit, value = clipping.LIMITS[way]
    assert norm > 50
    assert np.linalg.norm(moved) == pytest.approx(limit, rel=0.02) if limit else np.linalg.norm(moved) > 5
    assert value is None or np.abs(moved).max() == pytest.approx(value, rel=0.01)


def test_the_verdict_follows_the_numbers():
    assert clipping.judge(made(norm_5=1)).verdict == "held"
    assert clipping.judge(made(norm_5=5)).verdict == "held in part"
    assert clipping.judge(made(norm_5=9, norm_1=1)).verdict == "held in part"
    outcome = clipping.judge(made(norm_5=6, norm_1=3))
    assert outcome.verdict == "did not hold"
    assert "3 with norm 1 (0 only with clipping)" in outcome.measured
    assert "norm of the gradient is 1.5 in" in outcome.why  # without the step that exploded
    nothing = clipping.judge(made(none=0, norm_5=0))
    assert nothing.verdict == "did not hold"
    assert "No run explodes" in nothing.why


def test_runs_that_explode_only_with_clipping_count():
    assert clipping.judge(made(norm_5=0, new=1)).verdict == "held"
    outcome = clipping.judge(made(norm_5=0, new=6))
    assert outcome.verdict == "did not hold"
    assert "exploding runs out of 20: 10 without clipping, 6 with norm 5 (6 only with clipping)" in outcome.measured


def test_tables_and_figure_of_the_numbers():
    numbers = json.loads(json.dumps(made(norm_5=6), allow_nan=False))
    tables = clipping.tables(numbers)
    assert all(len(row) == len(table.header) for table in tables for row in table.rows)
    assert tables[0].rows[1] == ["norm 5", 6, 0]
    assert tables[1].rows[0] == ["none", "3.00 to 3.00", "no finite number"]
    assert clipping._range([{"end": end} for end in (2.0, None, 3.0)]) == "2.00 to 3.00, 1 not finite"
    assert len(clipping.draw(numbers).axes) == 3
