"""Sampling: the effect of each setting on the distribution, reproducible draws, and rejected settings."""

from itertools import islice

import numpy as np
import pytest

from minirnn import no_grad, random
from minirnn.language import CharTokenizer, WordTokenizer
from minirnn.language.model import LanguageModel
from minirnn.language.sampling import SamplingError, _draw, _weights, distribution, generate
from minirnn_kernels.cell import CELLS

RTOL = 1e-12  # float64 exponentials and one sum
LOGITS = np.log([0.1, 0.4, 0.2, 0.3])


@pytest.fixture
def model():
    random.manual_seed(0)
    return LanguageModel(6, "gru", 5, embedding=3)


TOKENIZER = CharTokenizer("\nabcd")


def test_plain_sampling_is_softmax():
    np.testing.assert_allclose(distribution(LOGITS), [0.1, 0.4, 0.2, 0.3], rtol=RTOL)
    np.testing.assert_allclose(distribution(LOGITS + 1000), [0.1, 0.4, 0.2, 0.3], rtol=1e-9)


def test_temperature_sharpens_and_flattens():
    squared = np.array([0.1, 0.4, 0.2, 0.3]) ** 2
    np.testing.assert_allclose(distribution(LOGITS, 0.5), squared / squared.sum(), rtol=RTOL)
    np.testing.assert_allclose(distribution(LOGITS, 1e9), np.full(4, 0.25), rtol=1e-6)
    assert distribution(LOGITS, 0).tolist() == [0, 1, 0, 0]
    assert distribution(LOGITS, 1e-300).tolist() == [0, 1, 0, 0]


def test_top_k_keeps_the_best():
    np.testing.assert_allclose(distribution(LOGITS, top_k=2), [0, 4 / 7, 0, 3 / 7], rtol=RTOL)
    assert distribution(LOGITS, top_k=1).tolist() == [0, 1, 0, 0]
    np.testing.assert_allclose(distribution(LOGITS, top_k=99), distribution(LOGITS), rtol=RTOL)
    assert distribution(np.zeros(3), top_k=2).tolist() == [0.5, 0.5, 0]


def test_top_p_keeps_the_fewest_that_reach_it():
    np.testing.assert_allclose(distribution(LOGITS, top_p=0.7), [0, 4 / 7, 0, 3 / 7], rtol=RTOL)
    np.testing.assert_allclose(distribution(LOGITS, top_p=0.71), [0, 4 / 9, 2 / 9, 3 / 9], rtol=RTOL)
    assert distribution(LOGITS, top_p=1e-9).tolist() == [0, 1, 0, 0]
    np.testing.assert_allclose(distribution(LOGITS, top_p=1), distribution(LOGITS), rtol=RTOL)


def test_top_p_counts_what_top_k_left():
    np.testing.assert_allclose(distribution(LOGITS, top_k=2, top_p=0.5), [0, 1, 0, 0], rtol=RTOL)


@pytest.mark.parametrize("seed", range(20))
def test_any_setting_gives_a_distribution(seed):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal(50) * rng.choice([1e-3, 1, 100])
    p = distribution(logits, rng.uniform(0.1, 3), int(rng.integers(1, 60)), rng.uniform(0.01, 1))
    assert p.sum() == pytest.approx(1, rel=RTOL)
    assert (p >= 0).all()
    assert p[np.argmax(logits)] == p.max()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1}, "temperature must be a finite number >= 0, got -1"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_k": 0}, "top-k must be at least 1, got 0"),
        ({"top_p": 0.0}, "top-p must be above 0 and at most 1, got 0.0"),
        ({"top_p": 1.5}, "top-p"),
        ({"top_p": float("nan")}, "top-p"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_drawn(model, settings, message):
    with pytest.raises(SamplingError, match=message):
        generate(model, TOKENIZER, "a", 3, **settings)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_scores_are_named(bad):
    with pytest.raises(SamplingError, match="not finite"):
        distribution(np.array([0.0, bad]))


def test_equal_seeds_draw_equal_text(model):
    first = "".join(generate(model, TOKENIZER, "ab", 50, seed=3))
    assert first == "".join(generate(model, TOKENIZER, "ab", 50, seed=3))
    assert first != "".join(generate(model, TOKENIZER, "ab", 50, seed=4))
    assert len(first) == 50


def test_the_unknown_token_is_never_drawn(model):
    model.linear.bias.data[0] = 50
    model.linear.bias.bump_version()
    assert "\ufffd" not in "".join(generate(model, TOKENIZER, "a", 50))


def test_it_streams_and_continues_like_one_long_reading(model):
    """Greedy text continues in the same way from a longer prompt: carrying the state equals reading the text again."""
    text = "".join(generate(model, TOKENIZER, "ab", 12, temperature=0))
    assert "".join(generate(model, TOKENIZER, "ab" + text[:5], 7, temperature=0)) == text[5:]
    assert "".join(islice(generate(model, TOKENIZER, "ab", 10**9, temperature=0), 12)) == text


def test_training_mode_is_left_as_it_was_and_not_used():
    random.manual_seed(0)
    model = LanguageModel(6, "lstm", 5, layers=2, dropout=0.9)
    model.train()
    before = random.get_state()
    list(generate(model, TOKENIZER, "a", 5))
    assert model.training
    assert random.get_state() == before


def test_an_unseen_character_in_the_prompt_is_named(model):
    with pytest.raises(SamplingError, match="the model's vocabulary does not contain 'z', '数'"):
        generate(model, TOKENIZER, "az数z", 3)


def test_an_empty_prompt_starts_at_a_line_break_or_the_first_token(model):
    assert "".join(generate(model, TOKENIZER, "", 9)) == "".join(generate(model, TOKENIZER, "\n", 9))
    letters = CharTokenizer("abcde")
    assert "".join(generate(model, letters, "", 9)) == "".join(generate(model, letters, "a", 9))


def test_an_empty_vocabulary_cannot_write(model):
    with pytest.raises(SamplingError, match="empty"):
        generate(model, CharTokenizer(""), "", 3)


def test_words_are_sampled_too(model):
    tokenizer = WordTokenizer(["the", " ", "cat", "sat", "."])
    text = "".join(generate(model, tokenizer, "the cat", 8))
    pieces = list(generate(model, tokenizer, "the cat", 8))
    assert "".join(pieces) == text
    assert all(tokenizer.unknown(piece) == [] for piece in pieces)


# ---- the draw


@pytest.mark.parametrize("settings", [(1.0, None, None), (0.7, 20, None), (1.5, None, 0.8), (0, None, None)])
def test_a_draw_takes_one_number_and_is_numpys_choice(settings):
    rng = np.random.default_rng(0)
    ours, numpys = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(300):
        scores = 3 * rng.standard_normal(50)
        scores[0] = -np.inf
        expected = numpys.choice(50, p=distribution(scores, *settings))
        assert _draw(_weights(scores, *settings), ours.random()) == expected


def test_the_shares_of_a_draw_are_its_weights():
    weights = np.array([0.0, 3.0, 0.0, 1.0, 4.0, 0.0])
    drawn = [_draw(weights, u) for u in (np.arange(800) + 0.5) / 800]
    assert np.bincount(drawn, minlength=6).tolist() == [0, 300, 0, 100, 400, 0]


def test_the_ends_of_the_interval_never_draw_what_has_no_weight():
    last = np.nextafter(1.0, 0.0)
    for weights in ([0.0, 1.0, 0.0], [0.0, 0.1, 0.7, 0.0, 0.0], [0.0, 3e-5, 1.1, 0.0]):
        weights = np.array(weights)
        assert weights[_draw(weights, 0.0)] > 0
        assert weights[_draw(weights, last)] > 0
        assert weights[_draw(weights, 1.0)] > 0  # as if the product with the sum were rounded up


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
def test_text_is_what_reading_everything_again_would_draw(cell, layers, record):
    random.manual_seed(0)
    model = LanguageModel(6, cell, 5, layers=layers, embedding=3, dtype=np.float64)
    rng, ids = np.random.default_rng(3), TOKENIZER.encode("ab")
    for _ in range(30):
        with no_grad():
            scores = model(ids[:, None])[0].data[-1, 0].copy()
        scores[0] = -np.inf
        ids = np.append(ids, rng.choice(6, p=distribution(scores, 0.8)))
    expected = TOKENIZER.decode(ids[2:])
    assert "".join(generate(model, TOKENIZER, "ab", 30, temperature=0.8, seed=3)) == expected
