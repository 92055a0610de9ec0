"""What counting alone reaches: unigram and bigram models, to hold a network's loss against."""

from __future__ import annotations

import numpy as np

__all__ = ["bigram_loss", "unigram_loss"]


def unigram_loss(train: np.ndarray, valid: np.ndarray, vocab_size: int) -> float:
    """Mean -log p(token) over `valid`, in nats, p from counts in `train` with one added to each (Laplace)."""
    counts = np.bincount(train, minlength=vocab_size) + 1.0
    return float(-np.mean(np.log(counts / counts.sum())[valid]))


def bigram_loss(train: np.ndarray, valid: np.ndarray, vocab_size: int) -> float:
    """Mean -log p(token | the one before) over `valid`, in nats, p from pair counts in `train` with one added to each.

    The first token of `valid` is taken to follow the last one of `train`. Only pairs that occur are stored, so a
    vocabulary of many words costs no more than the text.
    """
    pairs, counts = np.unique(train[:-1] * vocab_size + train[1:], return_counts=True)
    before = np.concatenate([train[-1:], valid[:-1]])
    wanted = before * vocab_size + valid
    place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    count = np.where(pairs[place] == wanted, counts[place], 0)
    total = np.bincount(train[:-1], minlength=vocab_size)[before]
    return float(-np.mean(np.log((count + 1) / (total + vocab_size))))
