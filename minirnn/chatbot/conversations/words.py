"""From what somebody typed to words, and from the words of a reply back to text.

A word is lower-cased; contractions are two words ("what" "'s", "do" "n't"), punctuation marks are words of their own,
and times, decimal numbers and hyphenated words stay whole. Beside the words stand their spellings, as a reply that
copies them has to show them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["CAPITAL", "read", "write"]

CAPITAL = "^"  # in a reply: the next word begins with a capital letter
_WORD = re.compile(r"[^\W_]+(?:[-:'.][^\W_]+)*|[^\w\s]|_")
_CONTRACTED = re.compile(r"(.+?)('s|'m|'re|'ve|'ll|'d|n't)", re.IGNORECASE)
_APOSTROPHES = str.maketrans("\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}`", "'''")
_CLOSING = frozenset(".,!?;:)%")


def read(text: str) -> tuple[list[str], list[str]]:
    """The words of `text` and, for each, its spelling: as typed, but in lower case where everything is in capitals.

    Control characters and other things without a shape count as spaces.
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
    """The text of a reply: sentences begin with capitals, marks and contractions join the word before them."""
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


def _joins(word: str) -> bool:
    return word in ("n't",) or word.startswith("'")
