"""Which words a chatbot knows by heart, and the numbers that stand for them and for the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .dialogue import ordinary_words, value_words

__all__ = ["BOT", "NUMBER", "SPECIAL", "UNKNOWN", "USER", "Vocabulary"]

UNKNOWN, NUMBER, USER, BOT = range(4)
SPECIAL = ("<unknown>", "<number>", "<user>", "<bot>")


class Vocabulary:
    """Ids 0 to 3 are those of SPECIAL; then the known words. Any other word is UNKNOWN, or NUMBER if it has a digit.

    The marks USER and BOT end an utterance: they say whose turn it is now.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = (*SPECIAL, *words)
        if not all(isinstance(word, str) for word in self.words) or len(set(self.words)) != len(self.words):
            raise ValueError("words: expected different texts")
        self._ids = {word: index for index, word in enumerate(self.words) if index >= len(SPECIAL)}

    @classmethod
    def of_conversations(cls) -> Vocabulary:
        """The words of the generated conversations, those of the values of training included."""
        return cls((*ordinary_words(), *value_words()))

    def __len__(self) -> int:
        return len(self.words)

    def id(self, word: str) -> int:
        """The id of a lower-cased word."""
        found = self._ids.get(word)
        return found if found is not None else NUMBER if any(map(str.isdigit, word)) else UNKNOWN

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def state_dict(self) -> dict[str, Any]:
        """What the vocabulary is rebuilt from: `Vocabulary(**state)`."""
        return {"words": list(self.words[len(SPECIAL) :])}
