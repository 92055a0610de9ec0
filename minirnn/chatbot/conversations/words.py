"""Conversion of typed text to words, and of the words of a reply to text.

Words are in lower case; contractions are two words ("what" "'s", "do" "n't"), punctuation marks are separate words, and
times, decimal numbers and hyphenated words are single words. Each word has a spelling, which a reply shows if it copies
the word.
"""

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["CAPITAL", "expand", "read", "write"]

CAPITAL = "^"  # in a reply: the next word begins with a capital letter
EXPANDED = {
    "i'm": "I am", "i've": "I have", "i'd": "I would", "you're": "you are", "what's": "what is", "who's": "who is",
    "where's": "where is", "how's": "how is", "it's": "it is", "that's": "that is", "don't": "do not", "can't": "can not",
}  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:[-:'.][^\W_]+)*|[^\w\s]|_")
_CONTRACTED = re.compile(r"(.+?)('s|'m|'re|'ve|'ll|'d|n't)", re.IGNORECASE)
_APOSTROPHES = str.maketrans("\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}`", "'''")
_CLOSING = frozenset(".,!?;:)%")


def read(text: str) -> tuple[list[str], list[str]]:
    """Return the words of `text` and their spellings: as typed, but in lower case if all of the text is in upper case.

    Control characters and other invisible characters count as spaces.
    """
    shown = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text.translate(_APOSTROPHES))
    if not any(c.islower() for c in shown):
        shown = shown.lower()
    spellings: list[str] = []
    for match in _WORD.findall(shown):
        parts = _CONTRACTED.fullmatch(match)
        spellings += parts.groups() if parts else [match]
    return [spelling.lower() for spelling in spellings], spellings


def write(words: Sequence[str]) -> str:
    """Return the text of a reply: sentences are capitalised, punctuation and contractions join the previous word."""
    text, capital = "", True
    for word in words:
        if word == CAPITAL:
            capital = True
            continue
        joined = not text or word in _CLOSING or (text[-1] != " " and _joins(word))
        shown = {"i": "I", "ok": "OK"}.get(word, word)
        text += ("" if joined else " ") + (shown[:1].upper() + shown[1:] if capital else shown)
        capital = word in (".", "!", "?") if not capital or word in _CLOSING else False
    return text


def expand(text: str) -> str:
    """Return `text` with its contractions written out."""
    return re.sub(r"[\w]+'\w+", lambda match: EXPANDED.get(match[0].lower(), match[0]), text)


def _joins(word: str) -> bool:
    return word == "n't" or word.startswith("'")
