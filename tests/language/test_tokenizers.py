"""Tokenizers: text over the vocabulary round-trips exactly, and unknown tokens are visible after decoding."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.language import UNKNOWN, CharTokenizer, WordTokenizer, tokenizer_from_state

TRICKY = "Grüße, 数学!\r\n\t e\u0301 \U0001f469\u200d\U0001f680 \x00\ufffd\ufeff it's  two_2\u2028\u00a0end\n\n"
BOTH = pytest.mark.parametrize("kind", [CharTokenizer, WordTokenizer])
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)  # including lone surrogates


@BOTH
@given(text=ANY_TEXT)
def test_any_unicode_comes_back(kind, text):
    tokenizer = kind.from_text(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert ids.dtype == np.int64
    assert UNKNOWN not in ids
    assert ids.size == 0 or ids.max() < tokenizer.vocab_size
    assert tokenizer.unknown(text) == []


@BOTH
@given(known=ANY_TEXT, other=ANY_TEXT)
def test_decode_marks_exactly_the_unknown_tokens(kind, known, other):
    tokenizer = kind.from_text(known)
    ids = tokenizer.encode(other)
    lost = tokenizer.unknown(other)
    assert (UNKNOWN in ids) == bool(lost)
    pieces = list(other) if kind is CharTokenizer else WordTokenizer._TOKEN.findall(other)
    assert tokenizer.decode(ids) == "".join("\ufffd" if piece in lost else piece for piece in pieces)


@BOTH
def test_a_tricky_text_comes_back_from_the_stored_state(kind):
    tokenizer = kind.from_text(TRICKY)
    state = json.loads(json.dumps(tokenizer.state_dict()))
    again = tokenizer_from_state(state)
    assert type(again) is kind
    assert again.vocab_size == tokenizer.vocab_size
    assert np.array_equal(again.encode(TRICKY), tokenizer.encode(TRICKY))
    assert again.decode(again.encode(TRICKY)) == TRICKY


def test_char_ids_follow_the_code_points():
    tokenizer = CharTokenizer.from_text("banana")
    assert tokenizer.vocab_size == 4
    assert tokenizer.encode("banx\U0001f600").tolist() == [2, 1, 3, UNKNOWN, UNKNOWN]
    assert tokenizer.unknown("xbxy") == ["x", "y"]


def test_word_ids_go_by_frequency_and_keep_white_space():
    tokenizer = WordTokenizer.from_text("to be, or not to be")
    assert tokenizer.encode("to  be").tolist() == [*tokenizer.encode("to").tolist(), 1, 1, 3]
    assert tokenizer.decode(tokenizer.encode("not,  be to ")) == "not,  be to "


def test_a_limited_word_vocabulary_keeps_the_most_frequent():
    tokenizer = WordTokenizer.from_text("a a a b b c", max_size=2)  # the space and a
    assert tokenizer.vocab_size == 3
    assert tokenizer.decode(tokenizer.encode("a b c")) == "a \ufffd \ufffd"
    assert tokenizer.unknown("a b c") == ["b", "c"]


@BOTH
def test_the_replacement_character_is_known_only_if_it_was_in_the_text(kind):
    assert kind.from_text("a").unknown("a\ufffd") == ["\ufffd"]
    assert kind.from_text("a\ufffd").unknown("a\ufffd") == []


@BOTH
def test_an_empty_vocabulary_knows_nothing(kind):
    tokenizer = kind.from_text("")
    assert tokenizer.vocab_size == 1
    assert tokenizer.decode(tokenizer.encode("ab")) in ("\ufffd", "\ufffd\ufffd")


@BOTH
@pytest.mark.parametrize("bad", [-1, 4, 2**40])
def test_ids_out_of_range_are_named(kind, bad):
    tokenizer = kind.from_text("a b")
    with pytest.raises(IndexError, match=f"id {bad} is out of range: this vocabulary has ids 0 to"):
        tokenizer.decode([1, bad])


@BOTH
def test_ids_must_be_ints(kind):
    with pytest.raises(TypeError, match="ids must be ints, got float64"):
        kind.from_text("ab").decode([1.0])
    assert kind.from_text("ab").decode([]) == ""


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="max_size must be at least 1, got 0"):
        WordTokenizer.from_text("a", max_size=0)
    with pytest.raises(ValueError, match="'two words' is not one token"):
        WordTokenizer(["two words"])
    with pytest.raises(ValueError, match="kind 'char' or 'word', got 'bpe'"):
        tokenizer_from_state({"kind": "bpe"})
