"""The V curve: the distance between a gradient and the difference quotient, as a function of the step.

The truncation error of a central difference decreases with the square of the step, and the rounding error increases as
the step shrinks: the curve of a correct gradient is a V that reaches down to about eps**(2/3). The curve of a wrong
gradient has a plateau at the size of its error. If only the rounding part, 1/step, is visible, the function isn't
smooth, isn't repeatable, or has too low a precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.gradcheck.differences import slope
from minirnn.gradcheck.first_run import first_run
from minirnn.gradcheck.objective import Array

__all__ = ["Sweep", "sweep"]

STEP_SIZES = 10.0 ** np.arange(0, -13.5, -0.5)
HEIGHT = 12  # decades of the drawing below 1


@dataclass(frozen=True)
class Sweep:
    """`errors[name][k]` is the relative error of <v, gradient> against the difference with `steps[k]`."""

    steps: Array
    errors: dict[str, Array]

    def text(self) -> str:
        """Return a drawing of the largest error of all tensors, a column per step, and each tensor's smallest error."""
        worst = np.max(np.stack(list(self.errors.values())), axis=0)
        levels = np.round(-np.log10(np.clip(worst, 10.0 ** -(HEIGHT + 1), 10.0))).astype(int)
        rows = ["largest error of all tensors, by the step of the difference"]
        for level in range(-1, HEIGHT + 2):
            marks = "".join("  *" if n == level else "   " for n in levels)
            rows.append(f"{f'1e{-level:+03d}':>6} |{marks}".rstrip())
        rows.append(" " * 7 + "+" + "---" * len(levels))
        rows.append(
            " " * 8
            + "".join(f"{f'{np.log10(s):.0f}':>3}" if k % 2 == 0 else "   " for k, s in enumerate(self.steps))
            + "  log10 of the step"
        )
        width = max(map(len, self.errors))
        for name, errors in self.errors.items():
            k = int(np.nanargmin(errors))
            rows.append(f"  {name.ljust(width)}  smallest error {errors[k]:.1e} at step {self.steps[k]:.0e}")
        return "\n".join(rows)


def sweep(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    upstream: Any = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> Sweep:
    """Return the errors of backward against plain central differences with steps from 1 to 1e-13.

    The arguments are those of `check`. Each tensor is measured along one random direction. Raise ValueError if the
    results of backward don't fit the inputs.
    """
    rng = np.random.default_rng(seed)
    run = first_run(forward, backward, inputs, upstream, names, None, rng)
    if run.problem:
        raise ValueError(run.problem)
    objective = run.objective()
    errors = {}
    for k in run.targets:
        v = rng.standard_normal(run.arguments[k].shape)
        v /= max(float(np.linalg.norm(v)), 1e-300)
        if np.shape(run.gradients[k]) != v.shape:
            raise ValueError(
                f"the gradient of {run.labels[k]} has shape {np.shape(run.gradients[k])}, expected {v.shape}"
            )
        claimed = float(np.vdot(v, np.asarray(run.gradients[k], np.float64)))
        found = np.array([slope(objective.along(k, v), float(h)).near for h in STEP_SIZES])
        errors[run.labels[k]] = np.abs(found - claimed) / max(abs(claimed), float(np.nanmedian(np.abs(found))), 1e-300)
    return Sweep(STEP_SIZES, errors)
