"""Scheduled sampling: the decays equal the paper's formulas, and a mixed window equals one from a slow reference."""

import itertools
import math

import numpy as np
import pytest

from minirnn import no_grad, random
from minirnn.language.model import LanguageModel, from_arrays, to_arrays
from minirnn.language.scheduled_sampling import DECAYS, decay, mixed_inputs
from minirnn_kernels.cell import CELLS

T, B, V = 9, 4, 6


# ---- decays


@pytest.mark.parametrize("kind", ["linear", "exponential", "inverse-sigmoid"])
@pytest.mark.parametrize(("steps", "end"), [(1000, 0.5), (37, 0.05), (200, 0.9)])
def test_a_decay_falls_from_one_to_its_end(kind, steps, end):
    epsilon = decay(kind, steps, end)
    values = [epsilon(i) for i in range(steps + 1)]
    assert values[0] >= 0.8  # k / (k + 1) of a short inverse sigmoid
    assert values[-1] == pytest.approx(end, rel=1e-9)
    assert epsilon(10 * steps) == epsilon(steps)
    assert all(before >= after for before, after in itertools.pairwise(values))
    assert all(0 < value <= 1 for value in values)


def test_the_decays_are_the_papers():
    steps, end = 500, 0.25
    linear, exponential, sigmoid = (decay(kind, steps, end) for kind in ("linear", "exponential", "inverse-sigmoid"))
    assert linear(200) == pytest.approx(1 - 0.75 * 200 / 500)
    assert exponential(200) == pytest.approx((0.25 ** (1 / 500)) ** 200)
    k = 1 / (1 / sigmoid(0) - 1)  # from k / (k + exp(0))
    assert k > 1
    for i in (0, 100, 300, 499):
        assert sigmoid(i) == pytest.approx(k / (k + math.exp(i / k)), rel=1e-9)


def test_the_lowest_end_of_a_short_inverse_sigmoid_is_met_with_k_1():
    epsilon = decay("inverse-sigmoid", 1, 1 / (1 + math.e) + 1e-12)
    assert [epsilon(0), epsilon(1)] == pytest.approx([1 / 2, 1 / (1 + math.e)])


def test_always_is_teacher_forcing():
    assert [decay("always", 10, 0.5)(i) for i in (0, 5, 10)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cosine", 10, 0.5), f"decay must be one of {', '.join(DECAYS)}, got 'cosine'"),
        (("linear", 0, 0.5), "steps must be at least 1, got 0"),
        (("linear", 10, 1.0), "end must be above 0 and below 1, got 1.0"),
        (("exponential", 10, 0.0), "end"),
        (("inverse-sigmoid", 1, 0.1), "end must be at least 0.269 for an inverse sigmoid of 1 steps, got 0.1"),
    ],
)
def test_bad_decays_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        decay(*arguments)


# ---- windows


def make(cell="lstm", dropout=0.0):
    random.manual_seed(2)
    model = LanguageModel(V, cell, 5, layers=2, embedding=3, dropout=dropout, dtype=np.float64)
    for weight in model.parameters():
        weight.data *= 3  # so that the drawn tokens depend on the tokens that were read
        weight.bump_version()
    x = np.random.default_rng(3).integers(1, V, (T, B))
    with no_grad():
        _logits, state = model.eval()(x[::-1].copy())
    return model, x, to_arrays(state)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("carried", [False, True])
def test_each_token_is_the_true_one_or_drawn_from_what_the_model_then_says(cell, carried):
    """The reference uses the same random numbers and reads the mixed window again from its start at each step."""
    model, x, state = make(cell)
    state = state if carried else None
    mixed = mixed_inputs(model, x, state, 0.4, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    own = rng.random((T, B)) >= 0.4
    expected = x.copy()
    for t in range(1, T):
        with no_grad():
            scores = model(expected[:t], from_arrays(state))[0].data[-1].copy()
        scores[:, 0] = -np.inf
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        drawn = [int(np.searchsorted(np.cumsum(row), u)) for row, u in zip(p, rng.random(B), strict=True)]
        expected[t] = np.where(own[t], drawn, x[t])
    assert mixed.tolist() == expected.tolist()
    assert (mixed[1:] != x[1:]).any()


def test_how_many_stay_true_and_what_is_drawn():
    """The model always gives token 3 the probability 1/4 and token 5 the probability 3/4; the window is all 2s."""
    model, _x, _state = make()
    model.linear.weight.data[...] = 0
    model.linear.bias.data[...] = [50, -np.inf, -np.inf, 0, -np.inf, math.log(3)]  # the unknown token is never drawn
    mixed = mixed_inputs(model, np.full((2, 20_000), 2), None, 0.6, np.random.default_rng(0))
    assert (mixed[0] == 2).all()
    shares = np.bincount(mixed[1], minlength=V) / 20_000
    np.testing.assert_allclose(shares, [0, 0, 0.6, 0.1, 0, 0.3], atol=0.014)  # four standard deviations


def test_teacher_forcing_draws_nothing_and_its_input_is_left_alone():
    model, x, state = make()
    rng, kept = np.random.default_rng(0), x.copy()
    before = rng.bit_generator.state
    assert mixed_inputs(model, x, state, 1.0, rng) is x
    assert rng.bit_generator.state == before
    assert mixed_inputs(model, x, state, 0.0, rng) is not x
    assert (x == kept).all()


def test_the_models_mode_and_generator_are_left_alone():
    model, x, _state = make(dropout=0.5)
    model.train()
    before = random.get_state()
    mixed_inputs(model, x, None, 0.3, np.random.default_rng(0))
    assert model.training
    assert random.get_state() == before


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, math.nan])
def test_an_epsilon_that_is_no_probability_is_named(epsilon):
    model, x, _state = make()
    with pytest.raises(ValueError, match="epsilon must be a probability, got"):
        mixed_inputs(model, x, None, epsilon, np.random.default_rng(0))
