"""Drawing text from a language model, one token at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minirnn.autograd import no_grad
from minirnn.autograd.devices import host
from minirnn.language import UNKNOWN, CharTokenizer, WordTokenizer
from minirnn.language.model import LanguageModel, step_states, to_arrays

__all__ = ["SamplingError", "distribution", "generate", "prompt_ids", "read"]


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
    weights = _weights(np.asarray(logits, np.float64), temperature, top_k, top_p)
    return weights / weights.sum()


def _weights(scores: np.ndarray, temperature: float, top_k: int | None, top_p: float | None) -> np.ndarray:
    """The probabilities (V,) of `distribution`, times a number; SamplingError where a score is NaN or the best isn't
    finite."""
    best = scores.max()
    if not math.isfinite(best):
        raise SamplingError("the model's scores are not finite numbers: its weights are broken")
    if temperature == 0:
        weights = np.zeros(len(scores))
        weights[scores.argmax()] = 1.0
        return weights
    with np.errstate(over="ignore"):  # a tiny temperature: what is not the best gets exp(-inf)
        weights = np.exp((scores - best) / temperature)
    if top_k is None and top_p is None:
        return weights
    order = np.argsort(-scores, kind="stable")[:top_k]
    if top_p is not None:
        sums = np.cumsum(weights[order])
        order = order[: int(np.searchsorted(sums, top_p * (1 - 1e-12) * sums[-1])) + 1]  # the last may round below 1
    kept = np.zeros(len(scores))
    kept[order] = weights[order]
    return kept


def _draw(weights: np.ndarray, uniform: float) -> int:
    """The index to which `uniform`, in [0, 1), belongs when each index has a share as large as its weight."""
    sums = weights.cumsum()
    index = int(sums.searchsorted(uniform * sums[-1], side="right"))
    return index if index < len(sums) else int(np.flatnonzero(weights)[-1])  # the product may round up to the last sum


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
    that has none. The unknown token is never drawn, and draws are made on the host wherever the model is. SamplingError
    for a prompt with tokens the model doesn't know.
    """
    ids = prompt_ids(tokenizer, prompt)
    distribution(np.zeros(2), temperature, top_k, top_p)  # complain now, not at the first token
    return _stream(model, tokenizer, ids, length, np.random.default_rng(seed), (temperature, top_k, top_p))


def prompt_ids(tokenizer: CharTokenizer | WordTokenizer, prompt: str) -> np.ndarray:
    """The ids (T,) that the model reads first; an empty prompt is what `generate` says. SamplingError as there."""
    if unknown := tokenizer.unknown(prompt):
        listed = ", ".join(repr(token) for token in unknown[:10])
        raise SamplingError(f"the prompt has what the model never saw in training: {listed}")
    if tokenizer.vocab_size < 2:
        raise SamplingError("the model's vocabulary is empty")
    ids = tokenizer.encode(prompt or "\n")
    return np.array([1]) if ids[0] == UNKNOWN else ids


def _stream(
    model: LanguageModel, tokenizer: Any, ids: np.ndarray, length: int, rng: np.random.Generator, settings: Any
) -> Iterator[str]:
    logits, states = read(model, ids[:, None])
    pieces: dict[int, str] = {}
    for n in range(length):
        if n:
            logits, states = model.step(ids, states)
        scores = host(logits[0]).astype(np.float64)
        scores[UNKNOWN] = -np.inf
        index = _draw(_weights(scores, *settings), rng.random())
        ids = np.array([index])
        if index not in pieces:
            pieces[index] = tokenizer.decode(ids)
        yield pieces[index]


def read(model: LanguageModel, ids: np.ndarray) -> tuple[np.ndarray, Any]:
    """The model's scores (B, V) after ids (T, B), read from a state of zeros, and its states for `model.step`."""
    was_training = model.training
    model.eval()
    with no_grad():
        logits, state = model(ids)
    model.train(was_training)
    return logits.data[-1], step_states(to_arrays(state))
