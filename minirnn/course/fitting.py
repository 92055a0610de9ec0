"""The training loop that the experiments share: Adam on fresh batches, the gradient's norm clipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn import nn, optim
from minirnn.autograd import Tensor

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
    """Train for `steps` steps on `loss_of(step)`; returns each step's loss and its gradient's norm before clipping.

    The rate falls from `lr` to 0 along half a cosine after a short warm-up. `told` hears each step's number, from 1,
    and loss, and ends the run by answering True. A step whose loss or gradient isn't finite changes nothing and ends
    the run.
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
            norm = float(optim.clip_grad_norm_(parameters, clip_norm))
        losses.append(float(loss.item()))
        norms.append(norm)
        if not (math.isfinite(losses[-1]) and math.isfinite(norm)):
            break
        optimizer.step()
        schedule.step()
        if told(step + 1, losses[-1]) is True:
            break
    return losses, norms
