"""The training loop shared by the experiments: Adam on a new batch at each step, with gradient clipping by norm."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn import Tensor, nn, optim

__all__ = ["fit", "fit_with_curve"]


def fit(
    model: nn.Module,
    loss_of: Callable[[int], Tensor],
    steps: int,
    *,
    lr: float = 3e-3,
    clip_norm: float = 5.0,
    told: Callable[[int], object] = lambda step: None,
) -> list[float]:
    """Train for `steps` steps on `loss_of(step)`; return the loss of each step.

    The learning rate rises to `lr` in a short warm-up, then falls to 0 along half a cosine. After each step, `told` is
    called with the step's number, from 1; training stops early when it returns True. Training also stops at a loss or
    gradient that is not finite, without an update of the weights.
    """
    parameters: Sequence[Any] = list(model.parameters())
    optimizer = optim.Adam(parameters, lr=lr)
    schedule = optim.CosineLR(optimizer, steps, min(20, steps // 10))
    losses: list[float] = []
    for step in range(steps):
        with np.errstate(over="ignore", invalid="ignore"):
            loss = loss_of(step)
            optimizer.zero_grad()
            loss.backward()
            norm = float(optim.clip_grad_norm_(parameters, clip_norm))
        losses.append(float(loss.item()))
        if not (math.isfinite(losses[-1]) and math.isfinite(norm)):
            break
        optimizer.step()
        schedule.step()
        if told(step + 1) is True:
            break
    return losses


def fit_with_curve(
    model: nn.Module,
    loss_of: Callable[[int], Tensor],
    steps: int,
    measure: Callable[[], float],
    every: int,
    report: Callable[[float], object] = lambda share: None,
    enough: float = -math.inf,
    **options: Any,
) -> tuple[list[float], list[list[Any]]]:
    """Train like `fit`, with its `options`; return the losses and the learning curve [[step, measure()], ...].

    The curve has a point before training and after every `every` steps. Training stops when the last point is below
    `enough`. `report` is called with the share of steps done.
    """
    curve: list[list[Any]] = []

    def told(step: int) -> bool:
        report(step / steps)
        if step % every == 0:
            curve.append([step, measure()])
        return bool(curve[-1][1] < enough)

    told(0)
    return fit(model, loss_of, steps, told=told, **options), curve
