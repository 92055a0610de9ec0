"""Derivatives of a function of one variable by finite differences, with error bounds.

A `Line` is a function t -> (displacement, rise): the distance by which the point actually moved (x + t is rounded), and
the change of the function. tolerances.py derives the step and its error.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minirnn.gradcheck.tolerances import RATIO, RUNGS, SIGMAS

Line = Callable[[float], tuple[float, float]]


@dataclass(frozen=True)
class Slope:
    """The derivative at 0 with one step: extrapolated, plain (central with h and 2h), and one-sided."""

    step: float
    value: float
    near: float
    far: float
    left: float
    right: float


@dataclass(frozen=True)
class Estimate:
    """A derivative and a bound on its error. At a kink, `sides` holds the two one-sided derivatives."""

    value: float
    bound: float
    sides: tuple[float, float] | None = None


def slope(line: Line, step: float) -> Slope:
    """Return the derivative from D(h) and D(2h), combined so that their h**2 terms cancel, with four evaluations.

    The values are nan if rounding removes the step.
    """
    (right_run, right_rise), (left_run, left_rise) = line(step), line(-step)
    (far_right_run, far_right_rise), (far_left_run, far_left_rise) = line(2 * step), line(-2 * step)
    near = _quotient(right_rise - left_rise, right_run - left_run)
    far = _quotient(far_right_rise - far_left_rise, far_right_run - far_left_run)
    left, right = _quotient(left_rise, left_run), _quotient(right_rise, right_run)
    return Slope(step, (4 * near - far) / 3, near, far, left, right)


def refine(line: Line, first: float, sigma: float, doubt: float, rungs: int = RUNGS) -> Estimate:
    """Return the best derivative over decreasing steps, starting with the step `first`.

    The steps end when rounding alone could explain an error of `doubt`. The truncation error of an estimate is close to
    its difference from the estimates at smaller steps, whose error is about 256 times smaller. The largest difference
    plus a tenth of it, plus the rounding error, therefore bounds the error. Steps shorter than the distance to a kink
    don't see the kink; if all steps see one, the estimate has `sides`.
    """
    seen = [slope(line, first)]
    while len(seen) < max(rungs, 2):
        seen.append(slope(line, seen[-1].step / RATIO))
        if not SIGMAS * sigma / seen[-1].step < 0.1 * doubt:
            break
    best = Estimate(seen[0].value, math.inf)
    for k, (here, finer) in enumerate(itertools.pairwise(seen)):
        change = 1.1 * max(abs(other.value - here.value) for other in seen[k + 1 :])
        bound = change + SIGMAS * sigma * (1 / here.step + 1 / finer.step)
        if bound < best.bound:
            best = Estimate(here.value, bound)
    return Estimate(best.value, best.bound, _kink(seen, sigma))


def noise(values: np.ndarray, order: int = 6) -> float:
    """Return the standard deviation of the rounding errors in equally spaced values of a smooth function.

    Differences of high order remove the smooth part and keep the errors, multiplied by a known factor:
    var(d^k f) = (2k)!/(k!)**2 sigma**2. (R. W. Hamming, Introduction to Applied Numerical Analysis, 1971, chapter 6;
    J. J. Moré and S. M. Wild, Estimating Computational Noise, SIAM J. Sci. Comput. 33, 2011.)
    """
    high = np.diff(values, order)
    return float(np.sqrt(np.mean(high**2) / math.comb(2 * order, order)))


def _kink(seen: list[Slope], sigma: float) -> tuple[float, float] | None:
    """Return the one-sided derivatives if they differ at the finest step where they exceed the rounding error."""
    for coarse, fine in reversed(list(itertools.pairwise(seen))):
        if _gap(fine) > _blur(fine, sigma):
            return _apart(coarse, fine, sigma)
    return None


def _apart(coarse: Slope, fine: Slope, sigma: float) -> tuple[float, float] | None:
    """Return the one-sided derivatives, the smaller first, if their difference does not shrink with the step.

    For a smooth function they differ by h f'', which decreases by RATIO from step to step; at a kink it stays the same.
    """
    stays = _gap(fine) > max(_blur(fine, sigma), 0.5 * _gap(coarse))
    return (min(fine.left, fine.right), max(fine.left, fine.right)) if stays else None


def _gap(seen: Slope) -> float:
    return abs(seen.right - seen.left)


def _blur(seen: Slope, sigma: float) -> float:
    """Return four times the bound on the rounding error of the gap."""
    return 4 * SIGMAS * 2 * sigma / seen.step


def _quotient(rise: float, run: float) -> float:
    return rise / run if run else math.nan
