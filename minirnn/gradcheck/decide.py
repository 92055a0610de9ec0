"""The verdict on one tensor, from its gradient and a judge's evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.gradcheck.differences import Estimate
from minirnn.gradcheck.judges import Evidence
from minirnn.gradcheck.objective import Array
from minirnn.gradcheck.report import Row, Verdict
from minirnn.gradcheck.tolerances import CONFIRM, LEFT_OUT, LOST_ULPS, RESOLVED, SMALL_TENSOR, epsilon, tolerance


@dataclass(frozen=True)
class Magnitudes:
    """The magnitudes of the gradients in a check, so that a tiny gradient is not judged by rounding errors."""

    largest: float  # the largest gradient entry times its tensor's length scale: the change of F per relative change
    # The norm of F's terms; any backward loses eps times this norm. For example, 1 - y**2 of a saturated unit is tiny
    # and has the absolute rounding error of a 1.
    values: float
    lengths: Mapping[int, float]  # by position of the input: its length scale

    @classmethod
    def of(cls, gradients: Mapping[int, Array], values: float, lengths: Mapping[int, float]) -> Magnitudes:
        """Return the magnitudes of the judge's gradients; a wrong gradient of the caller could have any magnitude."""
        return cls(max((_largest(g) * lengths[k] for k, g in gradients.items()), default=0.0), values, lengths)

    def lost(self, k: int, eps: float) -> float:
        """Return the rounding error that a correct backward can have in an entry of tensor k."""
        return LOST_ULPS * eps * self.values / self.lengths[k]

    def floor(self, k: int, eps: float) -> float:
        """Return the smallest scale that errors in tensor k are compared with."""
        return max(SMALL_TENSOR * self.largest / self.lengths[k], self.lost(k, eps) / tolerance(eps))


def malformed(name: str, shape: tuple[int, ...], gradient: Any) -> Row | None:
    """Return None for an array of finite floats with the right shape, and a failing row for any other gradient."""
    problem = _malformation(shape, gradient)
    return Row(name, Verdict.FAIL, "-", size=int(np.prod(shape)), problem=problem) if problem else None


def _malformation(shape: tuple[int, ...], gradient: Any) -> str:
    if gradient is None:
        return f"backward returned None, expected an array of shape {shape}"
    array = np.asarray(gradient)
    if array.dtype.kind not in "biufc":
        return f"backward returned a {type(gradient).__name__}, expected an array of floats of shape {shape}"
    if array.shape != shape:
        return f"the gradient has shape {array.shape}, expected {shape}"
    if array.dtype.kind != "f":
        return f"the gradient has dtype {array.dtype}, expected floats"
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        first = tuple(bad[0].tolist())
        return f"{len(bad)} of {array.size} entries are not finite, the first at {first}: {array[first]}"
    return ""


def decide(
    name: str, gradient: Any, evidence: Evidence, v: Array | None, magnitudes: Magnitudes, k: int, eps: float
) -> Row:
    """Return PASS, FAIL or CANNOT TELL for one well-formed gradient.

    Entries that disagree are measured again with more care, the worst first, until one is proven wrong or all are
    explained. An entry at a kink, where every value between the one-sided derivatives is a gradient, is left out.
    Entries so close to a kink that the second measurement is too noisy are left out, too, if they are few.
    """
    array = np.asarray(gradient)
    full = array.astype(np.float64)
    analytic = full.ravel() if v is None else np.array([np.vdot(v, full)])
    coarsest = max(eps, epsilon(array))
    limit = tolerance(coarsest)
    coarse = (
        f"the gradient is {array.dtype}, coarser than its tensor, and is judged at that precision"
        if epsilon(array) > eps
        else ""
    )
    note = "; ".join(text for text in (evidence.note, coarse) if text)
    if not array.size:
        return Row(name, Verdict.PASS, evidence.judge, note=note, gradient=array, estimate=array)
    expected = float(np.max(np.abs(full)) if v is None else np.linalg.norm(full))
    scale = max(expected, _largest(evidence.values), magnitudes.floor(k, coarsest))
    verdict, values, bounds, status = _weigh(analytic, evidence, limit * scale, max(limit, CONFIRM) * scale)
    errors = np.abs(analytic - values)
    own = _largest(values)
    resolved = magnitudes.values > 0 and own > RESOLVED * max(_largest(bounds), magnitudes.lost(k, coarsest))
    if verdict is Verdict.PASS and v is None and resolved and np.any(errors[status != _KINK] > 0.5 * own):
        verdict = Verdict.CANNOT_TELL
        note = "; ".join(
            filter(
                None,
                (
                    note,
                    "too small compared with the others to judge, with an error as large as its entries",
                ),
            )
        )
    n = _worst(errors, status)
    counted = status == _PROVEN if verdict is Verdict.FAIL else status != _KINK
    return Row(
        name,
        verdict,
        evidence.judge,
        index=tuple(int(i) for i in np.unravel_index(n, array.shape)) if v is None else None,
        analytic=float(analytic[n]),
        numeric=float(values[n]),
        error=_ratio(errors[n], scale),
        tolerance=limit,
        noise=_ratio(np.max(bounds, initial=0.0, where=counted) if np.any(counted) else bounds[n], scale),
        scale=scale,
        wrong=int(np.sum(np.isin(status, (_WRONG, _PROVEN)))),
        size=array.size,
        kinks=int(np.sum(status == _KINK)),
        note=note,
        gradient=array,
        estimate=values.reshape(array.shape) if v is None else None,
    )


_AGREES, _UNCLEAR, _KINK, _WRONG, _PROVEN = range(5)


def _weigh(analytic: Array, evidence: Evidence, allowed: float, sharp: float) -> tuple[Verdict, Array, Array, Array]:
    """Return the verdict, the judge's values and bounds after second measurements, and the status of each entry."""
    values, bounds = evidence.values.copy(), evidence.bounds.copy()
    blurred = bool(np.any(bounds > allowed))
    errors = np.nan_to_num(np.abs(analytic - values), nan=np.inf)
    status = np.where(errors <= allowed, _AGREES, np.where(errors > allowed + bounds, _WRONG, _UNCLEAR))
    suspects = np.flatnonzero(status != _AGREES)
    for n in suspects[np.argsort(-errors[suspects], kind="stable")]:
        again = Estimate(float(values[n]), float(bounds[n]))
        if evidence.second_look is not None:
            again = evidence.second_look(int(n), float(errors[n]))
        values[n], bounds[n] = again.value, again.bound
        status[n] = _look(float(analytic[n]), again, allowed, sharp)
        if status[n] == _PROVEN:
            return Verdict.FAIL, values, bounds, status
    unclear = status == _UNCLEAR
    if blurred or np.sum(unclear) > LEFT_OUT * status.size or np.all(status == _KINK):
        return Verdict.CANNOT_TELL, values, bounds, status
    status[unclear] = _KINK
    return Verdict.PASS, values, bounds, status


def _look(analytic: float, again: Estimate, allowed: float, sharp: float) -> int:
    """Return an entry's status after the second measurement.

    Smaller steps are noisier, so agreement with a value whose bound is at most `sharp` is enough.
    """
    if again.sides and again.sides[0] - allowed <= analytic <= again.sides[1] + allowed:
        return _KINK
    error = abs(analytic - again.value)
    if error <= allowed and again.bound <= sharp:
        return _AGREES
    return _PROVEN if error > allowed + again.bound else _UNCLEAR


def _worst(errors: Array, status: Array) -> int:
    """Return the position of the entry proven wrong, else that of the largest error among the entries not left out."""
    if np.any(status == _PROVEN):
        return int(np.argmax(status == _PROVEN))
    return int(np.argmax(np.where(status == _KINK, -1.0, np.nan_to_num(errors, nan=np.inf))))


def _largest(values: Array) -> float:
    return float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))


def _ratio(size: float, scale: float) -> float:
    """Return size / scale; with a scale of 0, any size above 0 gives inf."""
    return float(size / scale) if scale else (float("inf") if size else 0.0)
