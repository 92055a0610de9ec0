"""The words that the chatbot knows, and the ids of words."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Self

from . import phrasings
from .values import PETS, RELATIONS, UNITS, trained_values
from .words import CAPITAL, expand, read

__all__ = ["BOT", "NUMBER", "SPECIAL", "UNKNOWN", "USER", "Vocabulary", "ordinary_words", "value_words"]

UNKNOWN, NUMBER, USER, BOT = range(4)
SPECIAL = ("<unknown>", "<number>", "<user>", "<bot>")


class Vocabulary:
    """Ids 0 to 3 are the SPECIAL words, then come the known words. Any other word is NUMBER if it has a digit, else UNKNOWN.

    The marks USER and BOT end an utterance; they name the next speaker.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = (*SPECIAL, *words)
        if not all(isinstance(word, str) for word in self.words) or len(set(self.words)) != len(self.words):
            raise ValueError("words: expected distinct strings")
        self._ids = {word: index for index, word in enumerate(self.words) if index >= len(SPECIAL)}

    @classmethod
    def of_conversations(cls) -> Self:
        """Return the vocabulary of the generated conversations, including the values of training."""
        return cls((*ordinary_words(), *value_words()))

    def __len__(self) -> int:
        return len(self.words)

    def id(self, word: str) -> int:
        """Return the id of a word in lower case."""
        found = self._ids.get(word)
        return found if found is not None else NUMBER if any(map(str.isdigit, word)) else UNKNOWN

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def state_dict(self) -> dict[str, Any]:
        """Return the arguments that rebuild the vocabulary: `Vocabulary(**state)`."""
        return {"words": list(self.words[len(SPECIAL) :])}


@cache
def ordinary_words() -> tuple[str, ...]:
    """Return every word that can occur in a conversation outside the values, sorted."""
    tables = [getattr(phrasings, name) for name in phrasings.__all__]
    names = [f"{noun}'s name" for noun in (*RELATIONS, *PETS)]
    words = {CAPITAL}
    for text in _texts((tables, RELATIONS, PETS, UNITS, names, "a b an am pm and . ? ! ,")):
        for form in (text, expand(text), text.replace("'", "")):
            words.update(read(re.sub(r"\{\w?\}", " ", form))[0])
    return tuple(sorted(words))


@cache
def value_words() -> tuple[str, ...]:
    """Return the words of the training values that are not ordinary words, sorted."""
    words = {word for value in trained_values() for word in read(value)[0]}
    return tuple(sorted(words - set(ordinary_words())))


def _texts(table: Any) -> Iterator[str]:
    """Yield the strings of nested tables."""
    if isinstance(table, str):
        yield table
    else:
        for part in table.values() if isinstance(table, dict) else table:
            yield from _texts(part)
