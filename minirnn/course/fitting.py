"""The training loop shared by the experiments: Adam on a new batch at each step, with gradient clipping by norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn import Tensor, nn, optim

__all__ = ["fit"]


def fit(
    model: nn.Module,
    loss_of: Callable[[int], Tensor],
    steps: int,
    *,
    lr: float = 3e-3,
    clip_norm: float = 5.0,
    told: Callable[[int, float], object] = lambda step, loss: None,
) -> tuple[list[float], list[float]]:
    """Train for `steps` steps on `loss_of(step)`; return the losses and the gradients' norms before clipping.

    The learning rate rises to `lr` in a short warm-up, then falls to 0 along half a cosine. After each step,
    `told(step, loss)` is called with the step's number, from 1; training stops early when it returns True. Training
    also stops at a loss or gradient that is not finite, without an update of the weights.
    """
    parameters: Sequence[Any] = list(model.parameters())
    optimizer = optim.Adam(parameters, lr=lr)
    schedule = optim.CosineLR(optimizer, steps, min(20, steps // 10))
    losses: list[float] = []
    norms: list[float] = []
    for step in range(steps):
        with np.errstate(over="ignore", invalid="ignore"):
            loss = loss_of(step)
            optimizer.zero_grad()
            loss.backward()
            norms.append(float(optim.clip_grad_norm_(parameters, clip_norm)))
        losses.append(float(loss.item()))
        if not (math.isfinite(losses[-1]) and math.isfinite(norms[-1])):
            break
        optimizer.step()
        schedule.step()
        if told(step + 1, losses[-1]) is True:
            break
    return losses, norms
