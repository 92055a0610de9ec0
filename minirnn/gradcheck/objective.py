"""The function that a check differentiates: F = sum_k <u_k, y_k>, for outputs y and upstream gradients u.

The gradient of F is the result of backward for these u. The caller's functions get copies of the caller's
arrays at each evaluation, so a function that works in place does not change the originals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from minirnn.gradcheck.differences import Line, noise
from minirnn.gradcheck.tolerances import DOUBLE_EPS, IMPLAUSIBLE, relative_step

Array = np.ndarray


def split(result: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return (outputs, cache). The last element of a tuple is the cache; any other result is an output without one."""
    return (result[:-1], result[-1:]) if isinstance(result, tuple) else ((result,), ())


def real(array: Any) -> bool:
    """Return whether the value is an array of real floats, which can be differentiated."""
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"


def listed(result: Any) -> list[Any]:
    """Return the elements of a tuple or list, or a list with the single value."""
    return list(result) if isinstance(result, tuple | list) else [result]


def duplicate(value: Any) -> Any:
    """Return a copy of an array in the same memory order, and any other value unchanged."""
    return np.array(value, order="K") if isinstance(value, np.ndarray) else value


@dataclass(frozen=True)
class Objective:
    """F as a function of its inputs.

    weights: the upstream gradients, flattened and concatenated, in float64. eps: the coarsest machine epsilon among
    inputs and outputs.
    """

    forward: Callable[..., Any]
    inputs: tuple[Any, ...]
    weights: Array
    eps: float

    def values(self, changed: Mapping[int, Array] | None = None) -> Array:
        """Return all outputs in one vector of double precision, with some inputs replaced."""
        arguments = [duplicate(value) for value in {**dict(enumerate(self.inputs)), **(changed or {})}.values()]
        outputs, _ = split(self.forward(*arguments))
        flat = [np.asarray(y).reshape(-1) for y in outputs]
        vector = np.concatenate([np.zeros(0), *flat])
        if vector.size != self.weights.size:
            raise ValueError(
                f"forward returned {vector.size} numbers, expected {self.weights.size} as in its first call"
            )
        return vector

    def astype(self, dtype: Any) -> Objective:
        """Return the same function at the same point in another precision."""
        inputs = tuple(x.astype(dtype) if real(x) else x for x in self.inputs)
        return replace(self, inputs=inputs, eps=float(np.finfo(dtype).eps))

    def sharpened(self) -> Objective:
        """Return F in float64 if forward keeps that precision, else F: a check must not judge forward's rounding."""
        if self.eps == DOUBLE_EPS:
            return self
        double = self.astype(np.float64)
        try:
            outputs, _ = split(self.forward(*map(duplicate, double.inputs)))
        except Exception:  # forward accepts only its own dtype
            return self
        return double if all(np.asarray(y).dtype == np.float64 for y in outputs) else self

    @cached_property
    def base(self) -> Array:
        return self.values()

    def rise(self, changed: Mapping[int, Array]) -> float:
        """Return F at the changed point minus F at the base point.

        The outputs are subtracted before they are summed; the rounding error is smaller than that of the difference of
        two sums.
        """
        return float(self.weights @ (self.values(changed) - self.base))

    @property
    def terms(self) -> float:
        """The norm of the terms u_k y_k that F sums."""
        return float(np.linalg.norm(self.weights * self.base))

    def length(self, k: int) -> float:
        """Return the length scale of input k: its root mean square, and at least 1, the scale on which gates vary."""
        x = np.asarray(self.inputs[k], np.float64)
        return max(1.0, float(np.sqrt(np.mean(x**2)))) if x.size else 1.0

    def entry(self, k: int, index: tuple[int, ...]) -> Line:
        """Return F along one entry of input k."""
        x = self.inputs[k]
        start = x[index]

        def line(t: float) -> tuple[float, float]:
            moved = duplicate(x)
            moved[index] = start + x.dtype.type(t)
            return float(moved[index]) - float(start), self.rise({k: moved})

        return line

    def along(self, k: int, v: Array) -> Line:
        """Return F along the direction v of input k."""
        x = self.inputs[k]
        return lambda t: (t, self.rise({k: (x + t * v).astype(x.dtype)}))

    def sigma(self, rng: np.random.Generator) -> float:
        """Return the standard deviation of the rounding error in one value of F, measured along a random direction.

        The result is at least the error of rounding the outputs. The measured points start a small distance from the
        base point, which can be at a kink. A kink between them looks like noise: if the noise is large, shorter
        distances are tried, and the second smallest result counts (the smallest can be small by chance). The result is
        inf if the noise is too large to be rounding: then forward draws random numbers, or varies between the points.
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
