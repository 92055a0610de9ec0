"""The judges: each gives the derivatives of the objective with respect to one input, and a bound on their errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minirnn.gradcheck.differences import Estimate, Line, refine, slope
from minirnn.gradcheck.objective import Array, Objective
from minirnn.gradcheck.tolerances import COMPLEX_STEP, CONFIRM, RATIO, RUNGS, SIGMAS, relative_step, tolerance

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Evidence:
    """The judge's gradient of one input: the entries in C order (full mode), or the one number <v, gradient>.

    `second_look(n, doubt)` gives entry n again with all care, to find out whether it can be wrong by `doubt`. None
    where nothing better can be had.
    """

    judge: str
    values: Array
    bounds: Array
    second_look: Callable[[int, float], Estimate] | None = None
    note: str = ""


class Untrusted(Exception):
    """The complex step can't be used for this function; the message says why."""


def lines(objective: Objective, k: int, v: Array | None) -> list[Line]:
    """One line per entry of input k, or the single one along v."""
    if v is not None:
        return [objective.along(k, v)]
    return [objective.entry(k, index) for index in np.ndindex(objective.inputs[k].shape)]


def by_differences(
    objective: Objective, k: int, v: Array | None, sigma: float, step: float | None, note: str
) -> Evidence:
    """Central differences. The step grows with the entry; a `step` from the user is taken as it is."""
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
    """imag F(x + ih) / h: the derivative without a difference, so without its error. `objective` has complex inputs.

    (W. Squire and G. Trapp, Using Complex Variables to Estimate Derivatives of Real Functions, SIAM Review 40, 1998.)

    Everything that drops the imaginary part with a warning is an error here. What drops it silently (abs, x.real)
    is for `confirm` to find.
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
    return Evidence("complex step", found, np.full(found.shape, 16 * EPS * np.max(np.abs(found), initial=0.0)))


def confirm(objective: Objective, k: int, v: Array, claimed: float, size: float, sigma: float) -> None:
    """Raises Untrusted unless a directional difference finds the same slope, at any of several steps.

    `size` is what <v, gradient> may be expected to be; a difference too blurred to say anything beside it confirms
    nothing.
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
        raise Untrusted("complex step: differences are too blurred here to confirm it")
    raise Untrusted(
        f"complex step: {claimed:.6g} along a random direction, by differences {seen[-1]:.6g}: "
        "forward drops the imaginary part (abs, a float buffer) or has a kink here"
    )
