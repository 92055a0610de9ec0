"""Beam search: it agrees with an exhaustive search and with greedy search, and it rejects invalid arguments."""

import itertools

import numpy as np
import pytest

from minirnn import no_grad, random
from minirnn.language import CharTokenizer, WordTokenizer
from minirnn.language.beam import beam_search
from minirnn.language.model import LanguageModel
from minirnn.language.sampling import SamplingError, generate
from minirnn_kernels.cell import CELLS

TOKENIZER = CharTokenizer("\nabc")
LENGTH = 4
RTOL = 1e-5  # float32 steps against float32 sequences


@pytest.fixture(params=CELLS)
def model(request):
    random.manual_seed(1)
    model = LanguageModel(5, request.param, 6, layers=2, embedding=3)
    for weight in model.parameters():
        weight.data *= 3  # so that the most likely text is not one repeated token
        weight.bump_version()
    return model


def log_probability(model, prompt, text):
    """Return the log-probability of `text` after `prompt`, read as one sequence, without the unknown token."""
    ids = TOKENIZER.encode(prompt + text)
    with no_grad():
        scores = model(ids[:, None])[0].data[:, 0].astype(np.float64)
    scores = scores[len(prompt) - 1 : -1]
    scores[:, 0] = -np.inf
    return sum(s[i] - np.log(np.exp(s).sum()) for s, i in zip(scores, ids[len(prompt) :], strict=True))


def test_wide_enough_it_is_the_exhaustive_search(model):
    every = ["".join(t) for t in itertools.product("\nabc", repeat=LENGTH)]
    expected = sorted(((log_probability(model, "ab", text), text) for text in every), reverse=True)
    found = beam_search(model, TOKENIZER, "ab", LENGTH, 10_000)
    assert [c.text for c in found] == [text for _value, text in expected]
    np.testing.assert_allclose([c.log_probability for c in found], [value for value, _text in expected], rtol=RTOL)
    assert np.exp([c.log_probability for c in found]).sum() == pytest.approx(1, rel=1e-12)


def test_a_narrow_beam_keeps_the_best_continuations_of_the_best(model):
    """A beam of width 3 equals a beam of texts that are each read again from the start."""
    beam = [""]
    for _ in range(LENGTH):
        continued = [text + token for text in beam for token in "\nabc"]
        beam = sorted(continued, key=lambda text: -log_probability(model, "ab", text))[:3]
    assert [c.text for c in beam_search(model, TOKENIZER, "ab", LENGTH, 3)] == beam


def test_a_width_of_one_is_greedy(model):
    greedy = "".join(generate(model, TOKENIZER, "ab", 40, temperature=0))
    assert [c.text for c in beam_search(model, TOKENIZER, "ab", 40, 1)] == [greedy]


def test_equally_likely_texts_stand_in_the_order_of_their_ids():
    model = LanguageModel(5, "gru", 4, embedding=3)
    for weight in model.parameters():
        weight.data[...] = 0
        weight.bump_version()
    assert [c.text for c in beam_search(model, TOKENIZER, "a", 2, 6)] == ["\n\n", "\na", "\nb", "\nc", "a\n", "aa"]


def test_the_unknown_token_is_never_chosen(model):
    model.linear.bias.data[0] = 50
    model.linear.bias.bump_version()
    assert all("\ufffd" not in c.text for c in beam_search(model, TOKENIZER, "a", 6, 9))


def test_words_and_nothing_to_write(model):
    words = WordTokenizer(["the", " ", "cat", "sat"])
    assert set(beam_search(model, words, "the cat", 5, 2)[0].text) <= set("thecatsat ")
    assert [(c.text, c.log_probability) for c in beam_search(model, TOKENIZER, "ab", 0, 3)] == [("", 0.0)]


def test_training_mode_is_not_used():
    random.manual_seed(0)
    model = LanguageModel(5, "lstm", 6, layers=2, dropout=0.9)
    before = random.get_state()
    found = beam_search(model, TOKENIZER, "ab", 5, 4)
    assert random.get_state() == before
    assert found == beam_search(model.eval(), TOKENIZER, "ab", 5, 4)


def test_what_is_refused(model):
    with pytest.raises(SamplingError, match="the model's vocabulary does not contain 'z'"):
        beam_search(model, TOKENIZER, "z", 3, 2)
    with pytest.raises(SamplingError, match="width at least 1, got 3 and 0"):
        beam_search(model, TOKENIZER, "a", 3, 0)
    with pytest.raises(SamplingError, match="got -1 and 2"):
        beam_search(model, TOKENIZER, "a", -1, 2)
    model.linear.bias.data[1] = np.nan
    with pytest.raises(SamplingError, match="not finite"):
        beam_search(model, TOKENIZER, "a", 3, 2)
