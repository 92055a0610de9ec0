"""Beam search: a likely text instead of a sampled one.

Each step extends every text of the beam by every token and keeps the `width` most likely results. A width of 1 is
greedy search; a width equal to the number of possible texts finds the most likely text. All texts have the same length,
so their log-probabilities are comparable. Source: Graves 2012, "Sequence transduction with recurrent neural networks",
algorithm 1, without the blanks.
"""

from dataclasses import dataclass

import numpy as np

from minirnn.autograd.devices import host, like
from minirnn.language.model import LanguageModel
from minirnn.language.sampling import SamplingError, prompt_ids, read
from minirnn.language.tokenizers import UNKNOWN, CharTokenizer, WordTokenizer

__all__ = ["Candidate", "beam_search"]


@dataclass(frozen=True)
class Candidate:
    """A continuation, and the log (nats) of its probability after the prompt."""

    text: str
    log_probability: float


def beam_search(
    model: LanguageModel, tokenizer: CharTokenizer | WordTokenizer, prompt: str, length: int, width: int
) -> list[Candidate]:
    """Return the `width` most likely continuations of `prompt` by `length` tokens that the search finds, best first.

    The list is shorter if there are fewer than `width` texts. The prompt is read as in `sampling.generate`. The unknown
    token is never chosen: the probabilities of the other tokens are scaled to sum to 1. If texts are equally likely,
    the one with the lower ids comes first.

    Raises SamplingError for a prompt with unknown tokens, for length < 0 or width < 1, and for weights that give scores
    that are not finite.
    """
    if length < 0 or width < 1:
        raise SamplingError(f"length must be at least 0 and the beam's width at least 1, got {length} and {width}")
    logits, states = read(model, prompt_ids(tokenizer, prompt)[:, None])
    tokens, totals = np.zeros((1, length), np.int64), np.zeros(1)
    for n in range(length):
        if n:
            logits, states = model.step(tokens[:, n - 1], states)
        continued = totals[:, None] + _log_probabilities(host(logits))
        best = np.argsort(-continued, axis=None, kind="stable")[:width]
        parents, ids = np.divmod(best[np.isfinite(continued.flat[best])], continued.shape[1])
        totals = continued[parents, ids]
        tokens = tokens[parents]
        tokens[:, n] = ids
        states = [tuple(part[like(parents, part)] for part in layer) for layer in states]
    return [Candidate(tokenizer.decode(row), float(total)) for row, total in zip(tokens, totals, strict=True)]


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the log softmax of each row (B, V) in float64, without the unknown token."""
    scores = logits.astype(np.float64)
    scores[:, UNKNOWN] = -np.inf
    best = scores.max(axis=1, keepdims=True)
    if not np.isfinite(best).all():
        raise SamplingError("the model's scores are not finite numbers: its weights are broken")
    scores -= best
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
