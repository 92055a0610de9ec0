"""The function that is differentiated: F = sum_k <u_k, y_k>, the outputs y = forward(*inputs) against upstreams u.

F's gradient is what backward returns when it is given the upstreams. The caller's arrays are never handed to the
caller's functions: each evaluation gets copies, so that a function that works in place disturbs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from minirnn.gradcheck.differences import Line, noise
from minirnn.gradcheck.tolerances import IMPLAUSIBLE, relative_step

Array = np.ndarray
_DOUBLE = float(np.finfo(np.float64).eps)


def split(result: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Outputs and cache. The last element of a tuple is the cache; anything else is a single output without one."""
    return (result[:-1], result[-1:]) if isinstance(result, tuple) else ((result,), ())


def real(array: Any) -> bool:
    """Whether it is an array of real floats: something to differentiate."""
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"


def duplicate(value: Any) -> Any:
    """A copy of an array with its memory order; anything else as it is."""
    return np.array(value, order="K") if isinstance(value, np.ndarray) else value


@dataclass(frozen=True)
class Objective:
    """F as a function of its inputs.

    `weights` are the upstreams, flattened and concatenated, in float64; `eps` is the coarsest machine epsilon among
    inputs and outputs.
    """

    forward: Callable[..., Any]
    inputs: tuple[Any, ...]
    weights: Array
    eps: float

    def values(self, changed: Mapping[int, Array] | None = None) -> Array:
        """All outputs in one vector, in double precision, with some inputs replaced."""
        arguments = [duplicate(value) for value in {**dict(enumerate(self.inputs)), **(changed or {})}.values()]
        outputs, _ = split(self.forward(*arguments))
        flat = [np.asarray(y).reshape(-1) for y in outputs]
        vector = np.concatenate([np.zeros(0), *flat])
        if vector.size != self.weights.size:
            raise ValueError(
                f"forward returned {vector.size} numbers, and {self.weights.size} when it was called first"
            )
        return vector

    def astype(self, dtype: Any) -> Objective:
        """The same function of the same point in another precision."""
        inputs = tuple(x.astype(dtype) if real(x) else x for x in self.inputs)
        return replace(self, inputs=inputs, eps=float(np.finfo(dtype).eps))

    def sharpened(self) -> Objective:
        """In float64 if forward carries it, else as it is: what is judged is the backward, not forward's rounding."""
        if self.eps == _DOUBLE:
            return self
        double = self.astype(np.float64)
        try:
            outputs, _ = split(self.forward(*map(duplicate, double.inputs)))
        except Exception:  # forward insists on its dtype
            return self
        return double if all(np.asarray(y).dtype == np.float64 for y in outputs) else self

    @cached_property
    def base(self) -> Array:
        return self.values()

    def rise(self, changed: Mapping[int, Array]) -> float:
        """F there minus F here. The outputs are subtracted first: less rounding than in the difference of two sums."""
        return float(self.weights @ (self.values(changed) - self.base))

    @property
    def terms(self) -> float:
        """The size of F's terms."""
        return float(np.linalg.norm(self.weights * self.base))

    def length(self, k: int) -> float:
        """The length over which input k is taken to vary: its size, and at least 1, since gates vary over 1."""
        x = np.asarray(self.inputs[k], np.float64)
        return max(1.0, float(np.sqrt(np.mean(x**2)))) if x.size else 1.0

    def entry(self, k: int, index: tuple[int, ...]) -> Line:
        """F along one entry of input k."""
        x = self.inputs[k]
        start = x[index]

        def line(t: float) -> tuple[float, float]:
            moved = duplicate(x)
            moved[index] = start + x.dtype.type(t)
            return float(moved[index]) - float(start), self.rise({k: moved})

        return line

    def along(self, k: int, v: Array) -> Line:
        """F along the direction v of input k."""
        x = self.inputs[k]
        return lambda t: (t, self.rise({k: (x + t * v).astype(x.dtype)}))

    def sigma(self, rng: np.random.Generator) -> float:
        """The standard deviation of the rounding error in one value of F, measured on a walk in a random direction.

        At least what rounding the outputs alone must cause. The walk starts beside the point, which may be at a kink.
        A kink on the way looks like noise; so where there is much, shorter walks are tried, and the
        second quietest counts (the quietest may be so by chance). inf if it is more than rounding can be: forward draws
        random numbers, or varies within the spacing.
        """
        floats = {k: x for k, x in enumerate(self.inputs) if real(x)}
        directions = {k: rng.standard_normal(x.shape) * self.length(k) for k, x in floats.items()}
        size = self.terms
        found: list[float] = []
        for n in range(1, 5):
            points = relative_step(self.eps) / 8**n * np.arange(1, 13)
            walk = [{k: (x + t * directions[k]).astype(x.dtype) for k, x in floats.items()} for t in points]
            rises = np.array([self.rise(changed) for changed in walk])
            size = max(size, float(np.max(np.abs(rises))))
            found.append(np.nan_to_num(noise(rises), nan=np.inf))
            if found[-1] <= 4 * self.eps * size:
                return max(0.25 * self.eps * size, found[-1])
        measured = sorted(found)[1]
        return measured if measured <= max(IMPLAUSIBLE, self.eps) * size else np.inf
