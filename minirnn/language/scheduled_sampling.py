"""Scheduled sampling: in training, some inputs are the model's own predictions instead of the text's tokens.

With teacher forcing a model reads true tokens in training, but its own tokens when it generates. Scheduled sampling
moves from one to the other: at each step of a window, the next input is the true token with probability ε, else a token
drawn from the model's scores at the previous step; ε falls during training. The targets are always the true tokens.
Source: Bengio, Vinyals, Jaitly and Shazeer 2015, "Scheduled sampling for sequence prediction with
recurrent neural networks".

No gradient flows through a drawn token, as in the paper. A training step therefore has two passes: `mixed_inputs` runs
the model forward step by step and returns the mixed window; then the training loop uses this window like any other. For
ε < 1 the best model under this objective is not the distribution of the text (Huszár 2015, "How (not) to train your
generative model").
"""

import math
from collections.abc import Callable

import numpy as np

from minirnn.autograd.devices import host
from minirnn.language.model import LanguageModel, step_states
from minirnn.language.sampling import read
from minirnn.language.tokenizers import UNKNOWN

__all__ = ["DECAYS", "decay", "mixed_inputs"]

Decay = Callable[[int], float]  # a training step, counted from 0 -> ε


def decay(kind: str, steps: int, end: float) -> Decay:
    """Return ε as a function of the step i: it falls from (nearly) 1 at step 0 to `end` at step `steps`, and no lower.

    "always" is 1: teacher forcing. The others are those of section 2.4 of the paper, with the constant chosen so that
    ε(steps) = end: "linear" 1 - c·i, "exponential" kⁱ, "inverse-sigmoid" k / (k + exp(i/k)).

    Raises ValueError for another kind, for steps < 1 and for an end outside (0, 1); for an inverse sigmoid also for
    end < 1 / (1 + exp(steps)), because its k is at least 1 (so that it begins at 1/2 or above).
    """
    if kind not in DECAYS:
        raise ValueError(f"decay must be one of {', '.join(DECAYS)}, got {kind!r}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if not 0 < end < 1:
        raise ValueError(f"end must be above 0 and below 1, got {end}")
    falling = DECAYS[kind](steps, end)
    return lambda step: falling(min(step, steps))


def _inverse_sigmoid(steps: int, end: float) -> Decay:
    """Solve steps/k - log k = log(1/end - 1) for k >= 1 by bisection; the left side decreases in k."""
    wanted = math.log(1 / end - 1)
    if wanted > steps:
        lowest = 1 / (1 + math.exp(steps))
        raise ValueError(f"end must be at least {lowest:.3g} for an inverse sigmoid of {steps} steps, got {end}")
    low, high = 1.0, 2.0
    while steps / high - math.log(high) > wanted:
        high *= 2
    for _ in range(60):
        k = (low + high) / 2
        low, high = (k, high) if steps / k - math.log(k) > wanted else (low, k)
    return lambda i: 1 / (1 + math.exp(i / k - math.log(k)))


DECAYS: dict[str, Callable[[int, float], Decay]] = {
    "always": lambda steps, end: lambda i: 1.0,
    "linear": lambda steps, end: lambda i: 1.0 - (1.0 - end) * i / steps,
    "exponential": lambda steps, end: lambda i: end ** (i / steps),
    "inverse-sigmoid": _inverse_sigmoid,
}


def mixed_inputs(
    model: LanguageModel, x: np.ndarray, state: list[np.ndarray] | None, epsilon: float, rng: np.random.Generator
) -> np.ndarray:
    """Return x (T, B) with each token after the first row kept with probability `epsilon`, else drawn by the model.

    state: the arrays carried from the previous window (None: zeros). The model reads the mixed window without dropout
    and draws from its softmax, never the unknown token. An epsilon of 1 returns x itself and draws nothing from `rng`.
    """
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon must be a probability, got {epsilon}")
    if epsilon == 1:
        return x
    mixed = x.copy()
    own = rng.random(x.shape) >= epsilon
    states = None if state is None else step_states(state)
    for t in range(1, len(x)):
        logits, states = read(model, mixed[:1]) if states is None else model.step(mixed[t - 1], states)
        mixed[t] = np.where(own[t], _draw(host(logits), rng), x[t])
    return mixed


def _draw(logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one id for each row of logits (B, V) from its softmax, without the unknown token."""
    scores = logits.astype(np.float64)
    scores[:, UNKNOWN] = -np.inf
    sums = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1)
    return (sums <= rng.random((len(sums), 1)) * sums[:, -1:]).sum(axis=1)
