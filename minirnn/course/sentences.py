"""Code for the experiments on generated English: word ids, batches of sentences, and a network that reads them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minirnn import Tensor, nn
from minirnn.language.model import LAYERS

__all__ = ["PADDING", "WordIds", "WordReader"]

PADDING = 0  # the id that pads the shorter sentences of a batch
Array = np.ndarray[Any, Any]


class WordIds:
    """The words of the given sentences, and their ids from 1 in alphabetical order."""

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        self.words = sorted({word for sentence in sentences for word in sentence})
        self._ids = {word: k for k, word in enumerate(self.words, PADDING + 1)}
        self.size = len(self.words) + 1

    def encode(self, sentences: Sequence[Sequence[str]]) -> Array:
        """Return ids (T, B), padded with PADDING to the longest sentence. Raise KeyError for an unknown word."""
        ids = np.full((max(map(len, sentences)), len(sentences)), PADDING)
        for k, sentence in enumerate(sentences):
            ids[: len(sentence), k] = [self._ids[word] for word in sentence]
        return ids


class WordReader(nn.Module):
    """Embeddings, one recurrent layer ("rnn", "lstm" or "gru"), and two scores after each word, for no and yes.

    ids (T, B) -> scores (T, B, 2). The scores after a sentence's last word have no meaning.
    """

    def __init__(self, vocabulary: int, cell: str, embedding: int, hidden: int) -> None:
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.rnn = LAYERS[cell](embedding, hidden)
        self.linear = nn.Linear(hidden, 2)

    def forward(self, ids: Array) -> Tensor:
        out, _ = self.rnn(self.embedding(ids))
        return self.linear(out)
