"""The V curve: how far a gradient is from the difference quotient, step by step.

Truncation makes the error of a central difference fall with the square of the step, rounding makes it grow as the
step shrinks: a right gradient draws a V that reaches down to about eps**(2/3). A wrong one stays on a plateau at the
size of its error. Only rounding, 1/step, to be seen: the function isn't smooth, isn't repeatable, or too coarse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.gradcheck.arguments import argument, chosen, matched, named, output, upstreams_for
from minirnn.gradcheck.differences import slope
from minirnn.gradcheck.objective import Array, Objective, duplicate, real, split
from minirnn.gradcheck.tolerances import epsilon

__all__ = ["Sweep", "sweep"]

STEPS = 10.0 ** np.arange(0, -13.5, -0.5)
HEIGHT = 12


@dataclass(frozen=True)
class Sweep:
    """`errors[name][k]` is the relative error of <v, gradient> against the difference with `steps[k]`."""

    steps: Array
    errors: dict[str, Array]

    def text(self) -> str:
        """A drawing of the largest error of all tensors, a column for each step, and each tensor's least error."""
        worst = np.max(np.stack(list(self.errors.values())), axis=0)
        levels = np.round(-np.log10(np.clip(worst, 10.0 ** -(HEIGHT + 1), 10.0))).astype(int)
        rows = ["largest error of all tensors against the step of the difference"]
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
            rows.append(f"  {name.ljust(width)}  least error {errors[k]:.1e} at step {self.steps[k]:.0e}")
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
    """The errors of backward against plain central differences with steps from 1 to 1e-13. Arguments as in `check`.

    Along one random direction of each tensor. Raises ValueError if backward's results don't fit the inputs.
    """
    labels = named(forward, len(inputs), names)
    arguments = tuple(argument(name, value) for name, value in zip(labels, inputs, strict=True))
    targets = chosen(arguments, labels, None)
    rng = np.random.default_rng(seed)
    outputs, cache = split(forward(*map(duplicate, arguments)))
    results = [output(i, y) for i, y in enumerate(outputs)]
    upstreams = upstreams_for(results, upstream, rng)
    gradients = matched(backward(*map(duplicate, upstreams), *cache), arguments, targets)
    if isinstance(gradients, str):
        raise ValueError(gradients)
    flat = [(np.zeros(y.shape) if u is None else u).reshape(-1) for u, y in zip(upstreams, results, strict=True)]
    eps = epsilon(*filter(real, arguments), *results)
    objective = Objective(forward, arguments, np.concatenate([np.zeros(0), *flat]).astype(np.float64), eps)
    errors = {}
    for k in targets:
        v = rng.standard_normal(arguments[k].shape)
        v /= max(float(np.linalg.norm(v)), 1e-300)
        if np.shape(gradients[k]) != v.shape:
            raise ValueError(f"the gradient of {labels[k]} has shape {np.shape(gradients[k])}, expected {v.shape}")
        claimed = float(np.vdot(v, np.asarray(gradients[k], np.float64)))
        found = np.array([slope(objective.along(k, v), float(h)).near for h in STEPS])
        errors[labels[k]] = np.abs(found - claimed) / max(abs(claimed), float(np.nanmedian(np.abs(found))), 1e-300)
    return Sweep(STEPS, errors)
