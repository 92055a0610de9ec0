"""Learning-rate schedules: each sets `optimizer.lr` as a function of the number of steps so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from minirnn.optim.optimizers import Optimizer


class Schedule:
    """Base of the schedules. Sets optimizer.lr to base_lr · factor(number of steps so far), now and after each `step`.

    base_lr is the optimiser's lr when the schedule is made. Call `step` after the optimiser's step, once per update or
    once per epoch: the unit in which the schedule counts.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lr = optimizer.lr
        self.steps = 0
        self._apply()

    def factor(self, step: int) -> float:
        """Return lr / base_lr after `step` steps."""
        raise NotImplementedError

    def step(self) -> None:
        """Count one step and set the optimiser's lr."""
        self.steps += 1
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        return {"schedule": type(self).__name__, "base_lr": self.base_lr, "steps": self.steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a saved state. It does not contain the schedule's arguments, which must be the same."""
        if state_dict.get("schedule") != type(self).__name__:
            raise ValueError(
                f"state_dict: expected a state of {type(self).__name__}, got one of {state_dict.get('schedule')}"
            )
        self.base_lr, self.steps = state_dict["base_lr"], state_dict["steps"]
        self._apply()

    def _apply(self) -> None:
        self.optimizer.lr = float(self.base_lr * self.factor(self.steps))


class LambdaLR(Schedule):
    """lr = base_lr · lr_lambda(step)."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return self.lr_lambda(step)


class StepLR(Schedule):
    """lr = base_lr · gamma^⌊step / step_size⌋."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if step_size < 1:
            raise ValueError(f"step_size: expected an integer >= 1, got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return self.gamma ** (step // self.step_size)


class ExponentialLR(Schedule):
    """lr = base_lr · gamma^step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return self.gamma**step


class CosineLR(Schedule):
    """A linear rise over warmup_steps, then half a cosine down to min_lr at total_steps, and min_lr after that.

    In a warm-up of n steps, the first step has lr = base_lr/n and the n-th has lr = base_lr. Source of the cosine:
    Loshchilov and Hutter 2017, equation 5. Without warm-up it equals PyTorch's CosineAnnealingLR up to total_steps.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 0, min_lr: float = 0.0) -> None:
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(f"expected 0 <= warmup_steps < total_steps, got {warmup_steps} and {total_steps}")
        if not 0 <= min_lr <= optimizer.lr:
            raise ValueError(f"min_lr: expected a number between 0 and the lr {optimizer.lr}, got {min_lr}")
        self.total_steps, self.warmup_steps, self.min_lr = total_steps, warmup_steps, min_lr
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        low = self.min_lr / self.base_lr if self.base_lr else 0.0
        return low + (1.0 - low) * 0.5 * (1.0 + math.cos(math.pi * done))
