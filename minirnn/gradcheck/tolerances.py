"""All numbers that decide a verdict, with their derivation.

Errors are relative to a tensor's scale, the size of its largest gradient entries, not to each entry: an entry that is
small because large terms cancel has the rounding error of those terms, so an error relative to the entry would fail a
correct backward. A tensor whose gradient is small compared with the others is judged on their scale times
`SMALL_TENSOR`.

eps is the coarsest machine epsilon among inputs, outputs and gradient.

The step. With D(h) the central difference, R = (4 D(h) - D(2h)) / 3 has the error h**4 f⁗'/30 from truncation and,
when each value of f carries a rounding error of standard deviation sigma, sigma/h * sqrt((4/3)**2/2 + (1/3)**2/8) =
0.95 sigma/h from rounding. For a function of size and length scale 1 (sigma = eps) the sum is smallest near h =
eps**(1/5), where it is eps**(4/5): 3e-13 in float64, 3e-6 in float32. (The plain central difference reaches
eps**(2/3) at h = eps**(1/3).)

The tolerance, eps**(3/5), is 4e-10 in float64 and 7e-5 in float32: hundreds of times the judge's own error and the
rounding error of a correct backward (eps times the number of terms), and far below the effect of any mistake.
"""

from __future__ import annotations

from typing import Any

import numpy as np

DOUBLE_EPS = float(np.finfo(np.float64).eps)
COMPLEX_STEP = 1e-30  # nothing is subtracted, so the step can be so small that its square is negligible next to 1
SMALL_TENSOR = 1e-2  # see above
RESOLVED = 10.0  # a gradient this many times the judge's uncertainty is known, even if the others are far larger
LOST_ULPS = 16.0  # units in the last place of F's terms that a correct backward can lose
SIGMAS = 6.0  # a rounding error of more than six standard deviations is ruled out
RUNGS = 10  # steps for an entry that disagrees: h, h/4, h/16, ... to 4e-6 h
RATIO = 4.0  # of successive steps; the truncation error decreases by 256, the rounding error grows by 4
LEFT_OUT = 0.1  # the largest share of a tensor that can be left out because kinks are too close
IMPLAUSIBLE = 1e-3  # noise above this share of the function's size isn't rounding, in float32 or better
CONFIRM = 1e-5  # the error bound, relative to the scale, of a difference that can confirm the complex step or, near
# a kink, the backward


def epsilon(*arrays: Any) -> float:
    """Return the coarsest machine epsilon among the arrays of floats; float64's if there are none."""
    kinds = [a.dtype for a in arrays if a.dtype.kind in "fc"]
    return max((float(np.finfo(d).eps) for d in kinds), default=DOUBLE_EPS)


def tolerance(eps: float) -> float:
    """Return the largest error, relative to the tensor's scale, that counts as rounding."""
    return float(eps**0.6)


def relative_step(eps: float) -> float:
    """Return the step of the differences for a function of length scale 1."""
    return float(eps**0.2)
