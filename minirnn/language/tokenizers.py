"""Conversion of text to ids and back.

Each tokenizer has a vocabulary of distinct tokens with the ids 1, 2, ..., and the id 0 for unknown tokens. `encode`
maps every unknown token to 0, and `decode` writes 0 as U+FFFD, the replacement character. Text over the vocabulary
therefore round-trips exactly, and lost characters are visible. `unknown` lists the tokens that would be lost.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

__all__ = ["UNKNOWN", "CharTokenizer", "WordTokenizer", "tokenizer_from_state"]

UNKNOWN = 0
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class CharTokenizer:
    """One token per Unicode code point. Ids 1, 2, ... are in the order of the code points; 0 is any other character."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._points = _code_points("".join(sorted(set(vocabulary))))
        self._shown = np.concatenate([_code_points(REPLACEMENT), self._points])

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the tokenizer whose vocabulary is the characters of `text`."""
        return cls(text)

    @property
    def vocab_size(self) -> int:
        """The number of ids, including the unknown id."""
        return len(self._shown)

    def encode(self, text: str) -> np.ndarray:
        """Return the ids of the characters of `text`: int64, one per code point."""
        points = _code_points(text)
        place = np.searchsorted(self._points, points)
        found = np.append(self._points, 0)[place] == points
        return np.where(found & (place < len(self._points)), place + 1, UNKNOWN).astype(np.int64)

    def decode(self, ids: Any) -> str:
        """Return the text of `ids` (ints of any shape, in C order). Raises IndexError for an id out of range."""
        return str(self._shown[_checked(ids, self.vocab_size)].tobytes(), "utf-32-le", "surrogatepass")

    def unknown(self, text: str) -> list[str]:
        """Return the characters of `text` that are not in the vocabulary, each once, in order of appearance."""
        return [char for char in dict.fromkeys(text) if self.encode(char)[0] == UNKNOWN]

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `tokenizer_from_state`."""
        return {"kind": "char", "vocabulary": self.decode(np.arange(1, self.vocab_size))}


class WordTokenizer:
    """One token per run of letters, digits and underscores; every other character (space, mark) is its own token.

    Joining the tokens restores the text exactly, including its white space. Ids 1, 2, ... go from the most to the least
    frequent token; 0 is any token outside the vocabulary.
    """

    _TOKEN = re.compile(r"\w+|\W")

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._tokens = [REPLACEMENT, *dict.fromkeys(vocabulary)]
        self._ids = {token: index for index, token in enumerate(self._tokens) if index != UNKNOWN}
        if wrong := [token for token in self._ids if not self._TOKEN.fullmatch(token)]:
            raise ValueError(f"vocabulary: {wrong[0]!r} is not one token (a word, or one other character)")

    @classmethod
    def from_text(cls, text: str, max_size: int | None = None) -> Self:
        """Return the tokenizer for the tokens of `text`: all of them, or the `max_size` most frequent ones."""
        if max_size is not None and max_size < 1:
            raise ValueError(f"max_size must be at least 1, got {max_size}")
        return cls(token for token, _count in Counter(cls._TOKEN.findall(text)).most_common(max_size))

    @property
    def vocab_size(self) -> int:
        """The number of ids, including the unknown id."""
        return len(self._tokens)

    def encode(self, text: str) -> np.ndarray:
        """Return the ids of the tokens of `text`: int64."""
        return np.array([self._ids.get(token, UNKNOWN) for token in self._TOKEN.findall(text)], np.int64)

    def decode(self, ids: Any) -> str:
        """Return the text of `ids` (ints of any shape, in C order). Raises IndexError for an id out of range."""
        return "".join([self._tokens[index] for index in _checked(ids, self.vocab_size).tolist()])

    def unknown(self, text: str) -> list[str]:
        """Return the tokens of `text` that are not in the vocabulary, each once, in order of appearance."""
        return [token for token in dict.fromkeys(self._TOKEN.findall(text)) if token not in self._ids]

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `tokenizer_from_state`."""
        return {"kind": "word", "vocabulary": self._tokens[1:]}


def tokenizer_from_state(state: dict[str, Any]) -> CharTokenizer | WordTokenizer:
    """Return the tokenizer for a state from `state_dict()`. Raises ValueError if its kind is not known."""
    kinds: dict[Any, type[CharTokenizer] | type[WordTokenizer]] = {"char": CharTokenizer, "word": WordTokenizer}
    if state.get("kind") not in kinds:
        raise ValueError(f"kind: expected a tokenizer's state of kind 'char' or 'word', got {state.get('kind')!r}")
    return kinds[state["kind"]](state["vocabulary"])


def _code_points(text: str) -> np.ndarray:
    """Return the code points of `text`, including lone surrogates, as uint32."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _checked(ids: Any, size: int) -> np.ndarray:
    """Return `ids` as one flat int64 array, checked to be within 0..size-1."""
    flat = np.asarray(ids).reshape(-1)
    if flat.size and flat.dtype.kind not in "iu":
        raise TypeError(f"ids must be ints, got {flat.dtype}")
    outside = flat[(flat < 0) | (flat >= size)]
    if outside.size:
        raise IndexError(f"id {outside[0]} is out of range: this vocabulary has ids 0 to {size - 1}")
    return flat.astype(np.int64)
