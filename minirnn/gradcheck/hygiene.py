"""What can be wrong around the numbers: things changed in place, calls that differ, a backward that isn't linear.

A backward pass is a linear function of its upstream gradient, changes nothing that isn't its own, and gives the same
answer each time. Whether that is so can be seen without knowing a single derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.gradcheck.objective import Array, duplicate, real, split
from minirnn.gradcheck.tolerances import tolerance


@dataclass(frozen=True)
class Hygiene:
    """`faults` make a check fail; `remarks` are only said."""

    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def examine(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: Sequence[Any],
    labels: Sequence[str],
    upstreams: Sequence[Array | None],
    gradients: Mapping[int, Any],
    eps: float,
) -> Hygiene:
    """Run both functions again in several ways. `gradients` are the first call's, by input.

    What a function raises when it is called again is a remark: it may use its cache up on purpose.
    """
    faults: list[str] = []
    remarks: list[str] = []
    given = [duplicate(value) for value in arguments]
    outputs, cache = split(forward(*given))
    into = [duplicate(u) for u in upstreams]
    first = _listed(backward(*into, *cache))
    if changed := _changed(arguments, given, labels):
        faults.append(f"{', '.join(changed)} changed in place")
    if any(u is not None and not _equal(u, v) for u, v in zip(upstreams, into, strict=True)):
        faults.append("backward changes its upstream gradient in place")
    repeatable = _same(split(forward(*map(duplicate, arguments)))[0], outputs)
    if repeatable:
        faults += _calls(backward, upstreams, cache, first, gradients, remarks)
        faults += _linear(forward, backward, arguments, upstreams, gradients, eps)
    arrays = [(labels[k], g) for k, g in gradients.items() if isinstance(g, np.ndarray) and g.size]
    for n, (a, x) in enumerate(arrays):
        remarks += [f"the gradients of {a} and {b} share memory" for b, y in arrays[n + 1 :] if np.shares_memory(x, y)]
    remarks += _ignored(forward, arguments, labels, outputs) if repeatable else []
    return Hygiene(tuple(faults), tuple(remarks))


def _calls(
    backward: Callable[..., Any],
    upstreams: Sequence[Array | None],
    cache: tuple[Any, ...],
    first: list[Any],
    gradients: Mapping[int, Any],
    remarks: list[str],
) -> list[str]:
    """Calls that differ: the second call ever, and the second on one cache."""
    before = list(gradients.values())
    if len(before) == len(first) and not _same(before, first):
        return ["two calls with the same arguments give different gradients: something is kept between them"]
    try:
        again = _listed(backward(*map(duplicate, upstreams), *cache))
    except Exception as error:
        remarks.append(f"backward can't be called twice on one cache: {type(error).__name__}: {error}")
        return []
    return [] if _same(first, again) else ["a second backward on one cache differs: the cache is changed in place"]


def _linear(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    arguments: Sequence[Any],
    upstreams: Sequence[Array | None],
    gradients: Mapping[int, Any],
    eps: float,
) -> list[str]:
    """Upstreams 1024 times as large and as small (4 times in half precision), which rounds nothing."""
    base = 4.0 if eps > 1e-4 else 1024.0
    for factor in (base, 1 / base):
        _, cache = split(forward(*map(duplicate, arguments)))
        scaled = [None if u is None else np.asarray(u * factor, u.dtype) for u in upstreams]
        found = _listed(backward(*scaled, *cache))
        if len(found) != len(gradients):
            return []
        for here, there in zip(found, gradients.values(), strict=True):
            a, b = np.asarray(here), np.asarray(there)
            if a.dtype.kind != "f" or a.shape != b.shape or not np.isfinite(b).all():
                continue
            size = float(np.max(np.abs(b), initial=0.0)) * factor
            if not np.all(np.abs(a.astype(np.float64) - factor * b.astype(np.float64)) <= tolerance(eps) * size):
                return [f"backward isn't linear: {factor:g} times the upstream isn't {factor:g} times the gradient"]
    return []


def _ignored(
    forward: Callable[..., Any], arguments: Sequence[Any], labels: Sequence[str], outputs: tuple[Any, ...]
) -> list[str]:
    """Inputs of floats that the outputs don't depend on at all."""
    found = []
    for k, value in enumerate(arguments):
        if real(value) and value.size:
            moved = [duplicate(v) for v in arguments]
            moved[k] = (value + np.asarray(0.5, value.dtype) * (1 + np.abs(value))).astype(value.dtype)
            try:
                if _same(split(forward(*moved))[0], outputs):
                    found.append(f"forward doesn't depend on {labels[k]}")
            except (ValueError, ArithmeticError):  # a domain left; then it does depend
                continue
    return found


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]


def _changed(before: Sequence[Any], after: Sequence[Any], labels: Sequence[str]) -> list[str]:
    return [name for name, a, b in zip(labels, before, after, strict=True) if not _equal(a, b)]


def _equal(a: Any, b: Any) -> bool:
    if not isinstance(a, np.ndarray):
        return True
    return a.shape == np.shape(b) and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return len(a) == len(b) and all(x is y or _equal(np.asarray(x), np.asarray(y)) for x, y in zip(a, b, strict=True))
