"""Drawing text from a language model, one token at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minirnn.graph import no_grad
from minirnn.models import LanguageModel, from_arrays, to_arrays
from minirnn.text import UNKNOWN, CharTokenizer, WordTokenizer

__all__ = ["SamplingError", "distribution", "generate"]


class SamplingError(ValueError):
    """A prompt or a setting that can't be sampled with. The message names it."""


def distribution(
    logits: np.ndarray, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    """Probabilities (V,) float64 to draw the next token from, given its scores `logits` (V,).

    Scores are divided by `temperature` (0: all probability on the best one), then only the `top_k` best are kept, then
    only the fewest best ones that together have at least probability `top_p` (nucleus sampling; source: Holtzman,
    Buys, Du, Forbes, Choi, 2020). What is kept is scaled to sum to 1. Of equal scores the lower ids count as better.
    """
    if not temperature >= 0 or not np.isfinite(temperature):
        raise SamplingError(f"temperature must be a finite number >= 0, got {temperature}")
    if top_k is not None and top_k < 1:
        raise SamplingError(f"top-k must be at least 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise SamplingError(f"top-p must be above 0 and at most 1, got {top_p}")
    scores = np.asarray(logits, np.float64)
    if not np.isfinite(scores.max()) or np.isnan(scores).any():
        raise SamplingError("the model's scores are not finite numbers: its weights are broken")
    order = np.argsort(-scores, kind="stable")
    if temperature == 0:
        order = order[:1]
    with np.errstate(over="ignore"):  # a tiny temperature: what is not the best gets exp(-inf)
        weights = np.exp((scores[order] - scores[order[0]]) / (temperature or 1.0))
    weights = weights[:top_k]
    weights /= weights.sum()
    if top_p is not None:
        kept = int(np.searchsorted(np.cumsum(weights), top_p * (1 - 1e-12))) + 1  # the last sum may round below 1
        weights = weights[:kept] / weights[:kept].sum()
    probabilities = np.zeros(scores.shape)
    probabilities[order[: len(weights)]] = weights
    return probabilities


def generate(
    model: LanguageModel,
    tokenizer: CharTokenizer | WordTokenizer,
    prompt: str,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Yields `length` tokens as text, one by one, that continue `prompt`; equal arguments give equal text.

    The model reads the prompt first; an empty one stands for a line break, or for the vocabulary's first token where
    that has none. The unknown token is never drawn. SamplingError for a prompt with tokens the model doesn't know.
    """
    if unknown := tokenizer.unknown(prompt):
        listed = ", ".join(repr(token) for token in unknown[:10])
        raise SamplingError(f"the prompt has what the model never saw in training: {listed}")
    if tokenizer.vocab_size < 2:
        raise SamplingError("the model's vocabulary is empty")
    distribution(np.zeros(2), temperature, top_k, top_p)  # complain now, not at the first token
    ids = tokenizer.encode(prompt or "\n")
    if ids[0] == UNKNOWN:
        ids = np.array([1])
    return _stream(model, tokenizer, ids, length, np.random.default_rng(seed), (temperature, top_k, top_p))


def _stream(
    model: LanguageModel, tokenizer: Any, ids: np.ndarray, length: int, rng: np.random.Generator, settings: Any
) -> Iterator[str]:
    was_training = model.training
    carried = None
    for _ in range(length):
        model.eval()
        with no_grad():
            logits, state = model(ids[:, None], from_arrays(carried))
        model.train(was_training)
        carried = to_arrays(state)
        scores = logits.data[-1, 0].astype(np.float64)
        scores[UNKNOWN] = -np.inf
        ids = rng.choice(len(scores), size=1, p=distribution(scores, *settings))
        yield tokenizer.decode(ids)
