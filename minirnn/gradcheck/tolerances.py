"""The numbers that decide a verdict, all of them, with where each comes from.

Everything is relative to a tensor's scale, the size of its largest gradient entries, not to each entry: an entry
that is small because large terms cancel carries the rounding error of those terms, and a relative error of its own
would accuse a right backward. A tensor whose gradient is small beside the other tensors' is judged on
`SMALL_TENSOR` of theirs.

eps is the coarsest machine epsilon among inputs, outputs and gradient.

The step. With D(h) the central difference, R = (4 D(h) - D(2h)) / 3 has the error h**4 f⁗'/30 from truncation and,
when each value of f carries a rounding error of standard deviation sigma, sigma/h * sqrt((4/3)**2/2 + (1/3)**2/8) =
0.95 sigma/h from rounding. For a function of size and length scale 1 (sigma = eps) the sum is least near h =
eps**(1/5), where it is eps**(4/5): 3e-13 in float64, 3e-6 in float32. (The plain central difference reaches
eps**(2/3) at h = eps**(1/3).)

The tolerance, eps**(3/5), is 4e-10 in float64 and 7e-5 in float32: hundreds of times what the judge's own error and
the rounding of a right backward come to (eps times the number of terms), and far below what any mistake does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

COMPLEX_STEP = 1e-30  # nothing is subtracted, so it need only be small: its square vanishes beside 1
SMALL_TENSOR = 1e-2  # see above
RESOLVED = 10.0  # times its own uncertainty: a gradient that the judge knows, however small it is beside the others
LOST = 16.0  # units in the last place of F's terms that a right backward may lose
SIGMAS = 6.0  # a rounding error beyond six standard deviations doesn't happen
RUNGS = 10  # steps tried where an entry disagrees: h, h/4, h/16, ... to 4e-6 h
RATIO = 4.0  # from rung to rung; the truncation error falls by 256, the rounding error grows by 4
LEFT_OUT = 0.1  # at most this share of a tensor may be left unjudged because kinks are too near
IMPLAUSIBLE = 1e-3  # noise beyond this share of the function's size isn't rounding, in float32 or better
CONFIRM = 1e-5  # a difference this sharp, relative to the scale, may confirm the complex step or, near a kink, backward


def epsilon(*arrays: Any) -> float:
    """The coarsest machine epsilon among the arrays; those without floats don't count."""
    kinds = [a.dtype for a in arrays if a.dtype.kind in "fc"]
    return max((float(np.finfo(d).eps) for d in kinds), default=float(np.finfo(np.float64).eps))


def tolerance(eps: float) -> float:
    """The largest error, relative to the tensor's scale, that counts as rounding."""
    return float(eps**0.6)


def relative_step(eps: float) -> float:
    """The step of the differences for a function of length scale 1."""
    return float(eps**0.2)
