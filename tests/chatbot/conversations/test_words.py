"""Conversion of typed text to words, and of replies to text."""

import pytest

from minirnn.chatbot.conversations import read, write


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What's my name?", ["what", "'s", "my", "name", "?"]),
        ("I don't know, I'm Ana.", ["i", "do", "n't", "know", ",", "i", "'m", "ana", "."]),
        ("wake me at 7:30", ["wake", "me", "at", "7:30"]),
        ("Jean-Luc O'Brien pays 3.5", ["jean-luc", "o'brien", "pays", "3.5"]),
        ("it\N{RIGHT SINGLE QUOTATION MARK}s me", ["it", "'s", "me"]),
        ("a\x00b\x1b[31m\tc\r", ["a", "b", "[", "31m", "c"]),
        ("Привет 你好 😀", ["привет", "你好", "😀"]),
        ("", []),
        ("  \t ", []),
    ],
)
def test_words(text, words):
    assert read(text)[0] == words


def test_spellings_are_as_typed_but_shouting_is_lowered():
    assert read("my name is McDonald")[1] == ["my", "name", "is", "McDonald"]
    assert read("MY NAME IS ANA")[1] == ["my", "name", "is", "ana"]


def test_reading_is_total():
    """For any text there are as many spellings as words, and each word is its spelling in lower case."""
    odd = "".join(map(chr, range(0x300))) + "\ud800İẞǅ'n't''s-:.:-a'"
    words, spellings = read(odd)
    assert words == [spelling.lower() for spelling in spellings]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["your", "name", "is", "^", "zyphra", "."], "Your name is Zyphra."),
        (["ok", ",", "you", "'re", "fine", ".", "i", "do", "n't", "know", "!"], "OK, you're fine. I don't know!"),
        (["i", "hear", "that", "^", "new", "^", "york", "is", "lovely", "."], "I hear that New York is lovely."),
        (["^", "McDonald", "?", "so", "what"], "McDonald? So what"),
        ([], ""),
    ],
)
def test_replies_as_text(words, text):
    assert write(words) == text


def test_a_written_reply_reads_as_its_words():
    words = ["i", "do", "n't", "know", "your", "sister", "'s", "name", "yet", "."]
    assert read(write(words))[0] == words
