"""What the experiments on generated English share: a vocabulary, batches of sentences, and networks that read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minirnn import nn
from minirnn.autograd import Tensor
from minirnn.language.model import CELLS

__all__ = ["PADDING", "Vocabulary", "WordReader"]

PADDING = 0  # the id that fills up the shorter sentences of a batch
Array = np.ndarray[Any, Any]


class Vocabulary:
    """The words of some sentences, and their ids from 1 on, in alphabetical order."""

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        self.words = sorted({word for sentence in sentences for word in sentence})
        self._ids = {word: k for k, word in enumerate(self.words, PADDING + 1)}
        self.size = len(self.words) + 1

    def encode(self, sentences: Sequence[Sequence[str]]) -> tuple[Array, Array]:
        """ids (T, B), filled up with PADDING to the longest, and lengths (B,). KeyError for an unknown word."""
        lengths = np.array([len(sentence) for sentence in sentences])
        ids = np.full((lengths.max(), len(sentences)), PADDING)
        for k, sentence in enumerate(sentences):
            ids[: len(sentence), k] = [self._ids[word] for word in sentence]
        return ids, lengths


class WordReader(nn.Module):
    """Embeddings, one recurrent layer ("rnn", "lstm" or "gru"), and two scores, for no and yes, after each word.

    ids (T, B) -> scores (T, B, 2). Those behind a sentence's last word are for the caller to leave out.
    """

    def __init__(self, vocabulary: int, cell: str, embedding: int, hidden: int) -> None:
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.rnn = CELLS[cell](embedding, hidden)
        self.linear = nn.Linear(hidden, 2)

    def forward(self, ids: Array) -> Tensor:
        out, _ = self.rnn(self.embedding(ids))
        return self.linear(out)
