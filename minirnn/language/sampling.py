"""Sampling text from a language model, one token at a time."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minirnn.autograd import no_grad
from minirnn.autograd.devices import host
from minirnn.language.model import LanguageModel, step_states, to_arrays
from minirnn.language.tokenizers import UNKNOWN, CharTokenizer, WordTokenizer

__all__ = ["SamplingError", "distribution", "generate", "prompt_ids", "read"]


class SamplingError(ValueError):
    """A prompt or a setting can't be used for sampling. The message names it."""


def distribution(
    logits: np.ndarray, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    """Return the probabilities (V,), float64, of the next token for its scores `logits` (V,).

    The scores are divided by `temperature` (0: all probability on the best token). Then the `top_k` best tokens are
    kept, and of these the smallest number of best tokens whose probabilities sum to at least `top_p` (nucleus sampling;
    source: Holtzman, Buys, Du, Forbes, Choi, 2020). The kept probabilities are scaled to sum to 1. If scores are equal,
    the token with the lower id is the better one.
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
    """Return the probabilities (V,) of `distribution` before scaling.

    Raises SamplingError if a score is NaN or the best score is not finite.
    """
    best = scores.max()
    if not math.isfinite(best):
        raise SamplingError("the model's scores are not finite numbers: its weights are broken")
    if temperature == 0:
        weights = np.zeros(len(scores))
        weights[scores.argmax()] = 1.0
        return weights
    with np.errstate(over="ignore"):  # a tiny temperature: all but the best get exp(-inf)
        weights = np.exp((scores - best) / temperature)
    if top_k is None and top_p is None:
        return weights
    order = np.argsort(-scores, kind="stable")[:top_k]
    if top_p is not None:
        sums = np.cumsum(weights[order])
        order = order[
            : int(np.searchsorted(sums, top_p * (1 - 1e-12) * sums[-1])) + 1
        ]  # the sum of all may round below 1
    kept = np.zeros(len(scores))
    kept[order] = weights[order]
    return kept


def _draw(weights: np.ndarray, uniform: float) -> int:
    """Return the index whose share of [0, 1) contains `uniform`; the shares are proportional to the weights."""
    sums = weights.cumsum()
    index = int(sums.searchsorted(uniform * sums[-1], side="right"))
    return index if index < len(sums) else int(np.flatnonzero(weights)[-1])  # the product can round up to the last sum


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
    """Yield `length` tokens as text, one by one, that continue `prompt`. Equal arguments give equal text.

    The model reads the prompt first. An empty prompt means a line break, or the vocabulary's first token if the
    vocabulary has no line break. The unknown token is never drawn. The draws are made on the host, wherever the model
    is. Raises SamplingError for a prompt with unknown tokens.
    """
    ids = prompt_ids(tokenizer, prompt)
    distribution(np.zeros(2), temperature, top_k, top_p)  # check the settings now, not at the first token
    return _stream(model, tokenizer, ids, length, np.random.default_rng(seed), (temperature, top_k, top_p))


def prompt_ids(tokenizer: CharTokenizer | WordTokenizer, prompt: str) -> np.ndarray:
    """Return the ids (T,) of the prompt, as `generate` describes. Raises SamplingError for unknown tokens."""
    if unknown := tokenizer.unknown(prompt):
        listed = ", ".join(repr(token) for token in unknown[:10])
        raise SamplingError(f"prompt: the model's vocabulary does not contain {listed}")
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
    """Return the model's scores (B, V) after reading ids (T, B) from a zero state, and the states for `model.step`."""
    was_training = model.training
    model.eval()
    with no_grad():
        logits, state = model(ids)
    model.train(was_training)
    return logits.data[-1], step_states(to_arrays(state))
