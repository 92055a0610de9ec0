"""Mistakes that don't show in the numbers: changes in place, unequal results of equal calls, a nonlinear backward pass.

A backward pass is a linear function of its upstream gradient, changes nothing but its own arrays, and gives the same
result at each call. These properties can be checked without knowing a single derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.gradcheck.first_run import FirstRun
from minirnn.gradcheck.objective import duplicate, listed, real, split
from minirnn.gradcheck.tolerances import tolerance


@dataclass(frozen=True)
class Hygiene:
    """`faults` make a check fail; `remarks` are only reported."""

    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def examine(run: FirstRun) -> Hygiene:
    """Call both functions again in several ways and compare with the first run.

    An exception in a repeated call is only a remark: a function may consume its cache on purpose.
    """
    faults: list[str] = []
    remarks: list[str] = []
    given = [duplicate(value) for value in run.arguments]
    outputs, cache = split(run.forward(*given))
    into = [duplicate(u) for u in run.upstreams]
    first = listed(run.backward(*into, *cache))
    changed = [name for name, a, b in zip(run.labels, run.arguments, given, strict=True) if not _equal(a, b)]
    if changed:
        faults.append(f"{', '.join(changed)} changed in place")
    if any(u is not None and not _equal(u, v) for u, v in zip(run.upstreams, into, strict=True)):
        faults.append("backward changes its upstream gradient in place")
    repeatable = _same(_forward(run)[0], outputs)
    if repeatable:
        faults += _calls(run, cache, first, remarks)
        faults += _linear(run)
    arrays = [(run.labels[k], g) for k, g in run.gradients.items() if isinstance(g, np.ndarray) and g.size]
    for n, (a, x) in enumerate(arrays):
        remarks += [f"the gradients of {a} and {b} share memory" for b, y in arrays[n + 1 :] if np.shares_memory(x, y)]
    remarks += _ignored(run, outputs) if repeatable else []
    return Hygiene(tuple(faults), tuple(remarks))


def _forward(run: FirstRun) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return (outputs, cache) of a new forward pass."""
    return split(run.forward(*map(duplicate, run.arguments)))


def _calls(run: FirstRun, cache: tuple[Any, ...], first: list[Any], remarks: list[str]) -> list[str]:
    """Compare the second call with the first, and a second call with one cache with the first call with that cache."""
    before = list(run.gradients.values())
    if len(before) == len(first) and not _same(before, first):
        return ["two calls with the same arguments give different gradients: a value is kept between them"]
    try:
        again = listed(run.backward(*map(duplicate, run.upstreams), *cache))
    except Exception as error:
        remarks.append(f"backward can't be called twice on one cache: {type(error).__name__}: {error}")
        return []
    return [] if _same(first, again) else ["a second backward on one cache differs: the cache is changed in place"]


def _linear(run: FirstRun) -> list[str]:
    """Scale the upstream gradients by 1024 and 1/1024 (4 and 1/4 in half precision); this is exact."""
    base = 4.0 if run.eps > 1e-4 else 1024.0
    for factor in (base, 1 / base):
        scaled = [None if u is None else np.asarray(u * factor, u.dtype) for u in run.upstreams]
        found = listed(run.backward(*scaled, *_forward(run)[1]))
        if len(found) != len(run.gradients):
            return []
        for here, there in zip(found, run.gradients.values(), strict=True):
            a, b = np.asarray(here), np.asarray(there)
            if a.dtype.kind != "f" or a.shape != b.shape or not np.isfinite(b).all():
                continue
            size = float(np.max(np.abs(b), initial=0.0)) * factor
            if not np.all(np.abs(a.astype(np.float64) - factor * b.astype(np.float64)) <= tolerance(run.eps) * size):
                return [f"backward isn't linear: {factor:g} times the upstream isn't {factor:g} times the gradient"]
    return []


def _ignored(run: FirstRun, outputs: tuple[Any, ...]) -> list[str]:
    """Return a remark for each input of floats that the outputs don't depend on."""
    found = []
    for k, value in enumerate(run.arguments):
        if real(value) and value.size:
            moved = [duplicate(v) for v in run.arguments]
            moved[k] = (value + np.asarray(0.5, value.dtype) * (1 + np.abs(value))).astype(value.dtype)
            try:
                if _same(split(run.forward(*moved))[0], outputs):
                    found.append(f"forward doesn't depend on {run.labels[k]}")
            except (ValueError, ArithmeticError):  # outside of the domain of forward, so forward depends on this input
                continue
    return found


def _equal(a: Any, b: Any) -> bool:
    if not isinstance(a, np.ndarray):
        return True
    return a.shape == np.shape(b) and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return len(a) == len(b) and all(x is y or _equal(np.asarray(x), np.asarray(y)) for x, y in zip(a, b, strict=True))
