"""From text to ids and back.

Both tokenizers share a vocabulary of distinct tokens and one id beside them, 0, for what isn't in it. `encode` gives
that id to every unknown token and `decode` writes it as U+FFFD, the replacement character, so text over the
vocabulary comes back exactly and text outside it visibly doesn't. `unknown` lists what would be lost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["UNKNOWN", "CharTokenizer", "WordTokenizer", "tokenizer_from_state"]

UNKNOWN = 0
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class CharTokenizer:
    """One token a Unicode code point. Ids 1, 2, ... follow the code points' order; 0 is any other character."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        characters = "".join(sorted(set(vocabulary)))
        self._points = _code_points(characters)
        self._shown = np.concatenate([_code_points(REPLACEMENT), self._points])

    @classmethod
    def from_text(cls, text: str) -> CharTokenizer:
        """The tokenizer whose vocabulary is the characters of `text`."""
        return cls(text)

    @property
    def vocab_size(self) -> int:
        """How many ids there are, the unknown one included."""
        return len(self._shown)

    def encode(self, text: str) -> np.ndarray:
        """The ids of the characters of `text`: int64, one for each code point."""
        points = _code_points(text)
        place = np.searchsorted(self._points, points)
        found = np.append(self._points, 0)[place] == points
        return np.where(found & (place < len(self._points)), place + 1, UNKNOWN).astype(np.int64)

    def decode(self, ids: Any) -> str:
        """The text of `ids` (any shape of ints, read in C order). IndexError for an id outside 0..vocab_size-1."""
        return str(self._shown[_checked(ids, self.vocab_size)].tobytes(), "utf-32-le", "surrogatepass")

    def unknown(self, text: str) -> list[str]:
        """The characters of `text` that the vocabulary lacks, each once, in order of appearance."""
        return [char for char in dict.fromkeys(text) if self.encode(char)[0] == UNKNOWN]

    def state_dict(self) -> dict[str, Any]:
        """What `tokenizer_from_state` rebuilds the tokenizer from."""
        return {"kind": "char", "vocabulary": self.decode(np.arange(1, self.vocab_size))}


class WordTokenizer:
    """One token a run of letters, digits and underscores; every other character (space, mark) is its own token.

    So joining the tokens gives the text back exactly, with its white space. Ids 1, 2, ... go from the most to the
    least frequent token; 0 is any token outside the vocabulary.
    """

    _TOKEN = re.compile(r"\w+|\W")

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._tokens = [REPLACEMENT, *dict.fromkeys(vocabulary)]
        self._ids = {token: index for index, token in enumerate(self._tokens) if index != UNKNOWN}
        if wrong := [token for token in self._ids if not self._TOKEN.fullmatch(token)]:
            raise ValueError(f"vocabulary: {wrong[0]!r} is not one token (a word, or one other character)")

    @classmethod
    def from_text(cls, text: str, max_size: int | None = None) -> WordTokenizer:
        """The tokenizer of the tokens of `text`: all of them, or the `max_size` most frequent ones."""
        if max_size is not None and max_size < 1:
            raise ValueError(f"max_size must be at least 1, got {max_size}")
        return cls(token for token, _count in Counter(cls._TOKEN.findall(text)).most_common(max_size))

    @property
    def vocab_size(self) -> int:
        """How many ids there are, the unknown one included."""
        return len(self._tokens)

    def encode(self, text: str) -> np.ndarray:
        """The ids of the tokens of `text`: int64."""
        return np.array([self._ids.get(token, UNKNOWN) for token in self._TOKEN.findall(text)], np.int64)

    def decode(self, ids: Any) -> str:
        """The text of `ids` (any shape of ints, read in C order). IndexError for an id outside 0..vocab_size-1."""
        return "".join([self._tokens[index] for index in _checked(ids, self.vocab_size).tolist()])

    def unknown(self, text: str) -> list[str]:
        """The tokens of `text` that the vocabulary lacks, each once, in order of appearance."""
        return [token for token in dict.fromkeys(self._TOKEN.findall(text)) if token not in self._ids]

    def state_dict(self) -> dict[str, Any]:
        """What `tokenizer_from_state` rebuilds the tokenizer from."""
        return {"kind": "word", "vocabulary": self._tokens[1:]}


def tokenizer_from_state(state: dict[str, Any]) -> CharTokenizer | WordTokenizer:
    """The tokenizer that `state_dict()` described. ValueError if the state is of no known kind."""
    kinds: dict[Any, type[CharTokenizer] | type[WordTokenizer]] = {"char": CharTokenizer, "word": WordTokenizer}
    if state.get("kind") not in kinds:
        raise ValueError(f"a tokenizer's state has kind 'char' or 'word', got {state.get('kind')!r}")
    return kinds[state["kind"]](state["vocabulary"])


def _code_points(text: str) -> np.ndarray:
    """The code points of `text`, lone surrogates included, as uint32."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _checked(ids: Any, size: int) -> np.ndarray:
    """`ids` as one flat int64 array within 0..size-1."""
    flat = np.asarray(ids).reshape(-1)
    if flat.size and flat.dtype.kind not in "iu":
        raise TypeError(f"ids must be ints, got {flat.dtype}")
    outside = flat[(flat < 0) | (flat >= size)]
    if outside.size:
        raise IndexError(f"id {outside[0]} is out of range: this vocabulary has ids 0 to {size - 1}")
    return flat.astype(np.int64)
