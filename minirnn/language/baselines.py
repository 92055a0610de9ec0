"""Unigram and bigram models: the baselines for a network's loss."""

import numpy as np

__all__ = ["bigram_loss", "unigram_loss"]


def unigram_loss(train: np.ndarray, valid: np.ndarray, vocab_size: int) -> float:
    """Return the mean of -log p(token) over `valid`, in nats, with p from the counts in `train` plus one (Laplace)."""
    counts = np.bincount(train, minlength=vocab_size) + 1.0
    return float(-np.mean(np.log(counts / counts.sum())[valid]))


def bigram_loss(train: np.ndarray, valid: np.ndarray, vocab_size: int) -> float:
    """Return the mean of -log p(token | previous token) over `valid`, in nats, with p from the pair counts plus one.

    The first token of `valid` follows the last token of `train`. Only the pairs that occur are stored, so the memory
    depends on the length of the text and not on the size of the vocabulary.
    """
    pairs, counts = np.unique(train[:-1] * vocab_size + train[1:], return_counts=True)
    before = np.concatenate([train[-1:], valid[:-1]])
    wanted = before * vocab_size + valid
    place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    count = np.where(pairs[place] == wanted, counts[place], 0)
    total = np.bincount(train[:-1], minlength=vocab_size)[before]
    return float(-np.mean(np.log((count + 1) / (total + vocab_size))))
