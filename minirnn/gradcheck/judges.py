"""The judges: each computes the derivatives of the objective with respect to one input, with error bounds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minirnn.gradcheck.differences import Estimate, Line, refine, slope
from minirnn.gradcheck.objective import Array, Objective
from minirnn.gradcheck.tolerances import (
    COMPLEX_STEP,
    CONFIRM,
    DOUBLE_EPS,
    RATIO,
    RUNGS,
    SIGMAS,
    relative_step,
    tolerance,
)


@dataclass(frozen=True)
class Evidence:
    """The judge's gradient of one input: its entries in C order (full mode), or the single number <v, gradient>.

    second_look(n, doubt) computes entry n again as precisely as possible, to decide whether it can be wrong by
    `doubt`. It is None if the judge has no better method.
    """

    judge: str
    values: Array
    bounds: Array
    second_look: Callable[[int, float], Estimate] | None = None
    note: str = ""


class Untrusted(Exception):
    """The complex step can't be used for this function, for the reason in the message."""


def lines(objective: Objective, k: int, v: Array | None) -> list[Line]:
    """Return one line per entry of input k, or the single line along v."""
    if v is not None:
        return [objective.along(k, v)]
    return [objective.entry(k, index) for index in np.ndindex(objective.inputs[k].shape)]


def by_differences(
    objective: Objective, k: int, v: Array | None, sigma: float, step: float | None, note: str
) -> Evidence:
    """Return central differences. The step is proportional to the entry, unless the user gives a `step`."""
    x = objective.inputs[k]
    paths = lines(objective, k, v)
    lengths = [objective.length(k)] if v is not None else [max(1.0, abs(float(entry))) for entry in x.ravel()]
    steps = [step or relative_step(objective.eps) * length for length in lengths]

    def second_look(n: int, doubt: float) -> Estimate:
        return refine(paths[n], steps[n], sigma, doubt, RUNGS if step is None else 2)

    values = np.array([slope(path, h).value for path, h in zip(paths, steps, strict=True)])
    bounds = np.where(np.isnan(values), np.inf, SIGMAS * sigma / np.array(steps))
    return Evidence("differences", values, bounds, second_look, note)


def by_complex_step(objective: Objective, k: int, v: Array | None) -> Evidence:
    """Return imag F(x + ih) / h: the derivative without a subtraction and its error. `objective` has complex inputs.

    (W. Squire and G. Trapp, Using Complex Variables to Estimate Derivatives of Real Functions, SIAM Review 40, 1998.)

    An operation that drops the imaginary part with a warning raises Untrusted here. `confirm` finds those that drop
    it silently (abs, x.real).
    """
    x = objective.inputs[k]
    values = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            for index in np.ndindex(x.shape if v is None else (1,)):
                moved = x.copy()
                if v is None:
                    moved[index] += 1j * COMPLEX_STEP
                else:
                    moved += 1j * COMPLEX_STEP * v
                values.append(float(objective.weights @ objective.values({k: moved}).imag) / COMPLEX_STEP)
    except Exception as error:
        raise Untrusted(f"complex step: {type(error).__name__}: {error}") from error
    found = np.array(values)
    if not np.isfinite(found).all():
        raise Untrusted("complex step: the function gives nan or inf for complex arguments")
    return Evidence("complex step", found, np.full(found.shape, 16 * DOUBLE_EPS * np.max(np.abs(found), initial=0.0)))


def confirm(objective: Objective, k: int, v: Array, claimed: float, size: float, sigma: float) -> None:
    """Raise Untrusted unless a directional difference with one of several steps confirms the slope.

    size: the expected magnitude of <v, gradient>. A difference whose error bound is too large relative to `size`
    confirms nothing.
    """
    line = objective.along(k, v)
    seen = []
    for rung in range(RUNGS):
        step = relative_step(objective.eps) * objective.length(k) / RATIO**rung
        bound = SIGMAS * sigma / step
        found = slope(line, step).value
        if not bound <= CONFIRM * max(size, abs(found)):
            break
        if abs(found - claimed) <= tolerance(objective.eps) * size + bound:
            return
        seen.append(found)
    if not seen:
        raise Untrusted("complex step: differences are too noisy here to confirm it")
    raise Untrusted(
        f"complex step: {claimed:.6g} along a random direction, by differences {seen[-1]:.6g}: "
        "forward drops the imaginary part (abs, a float buffer) or has a kink here"
    )
