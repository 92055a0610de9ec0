"""The result of a probe: what the student's functions returned, with the right answer and the tolerances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from minirnn.assignments.catalogue import tasks
from minirnn.assignments.catalogue.passes import Array, Trace
from minirnn.assignments.catalogue.tasks import Task
from minirnn.assignments.diagnosis.probes import Probe, problem
from minirnn.assignments.sandbox.observe import Failure, Subject
from minirnn.gradcheck.tolerances import SMALL_TENSOR, tolerance


@dataclass(frozen=True)
class Precision:
    """Tolerances relative to the scale of a tensor.

    verdict: a gradient with a larger error is wrong. match: a known mistake fits if the gradients that it predicts
    differ by at most this much from the student's. In float64 both are far above rounding errors (about 1e-15 times
    the number of summands) and far below the effect of a mistake.
    """

    verdict: float
    match: float


FLOAT64_PRECISION = Precision(tolerance(float(np.finfo(np.float64).eps)), 1e-9)
FLOAT32_PRECISION = Precision(4 * tolerance(float(np.finfo(np.float32).eps)), 3e-4)


@dataclass
class ProbeResult:
    """The result of one probe on one pair of functions.

    given: the arguments of forward, by name. into: the upstream gradient of each output. outputs, seen: the outputs
    and the gradients that the student's functions returned. right_outputs, right: those of the reference.
    failure: why the student's functions returned nothing, or None. remarks: see `observe`.
    """

    task: Task
    probe: Probe
    given: dict[str, Any]
    into: list[Array]
    outputs: list[Any]
    seen: list[Any]
    right_outputs: list[Array]
    right: list[Array]
    failure: Failure | None
    remarks: Mapping[str, Any]
    precision: Precision

    @cached_property
    def trace(self) -> Trace:
        """The right forward pass of a recurrent task, with all intermediate values."""
        return tasks.trace(self.task, self.given)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The size of each axis by its letter, from the shapes of the arguments."""
        arrays = {axes: self.given[name] for name, axes in self.task.shapes.items() if axes != "-"}
        shapes = [(axes, a.shape) for axes, a in arrays.items() if isinstance(a, np.ndarray)]
        return {letter: size for axes, shape in shapes for letter, size in zip(axes, shape, strict=True)}

    @property
    def names(self) -> list[str]:
        """The names of the gradients."""
        return list(self.task.gradients)

    @cached_property
    def scales(self) -> list[float]:
        """The scale of each gradient; its errors are relative to this scale."""
        return scales(self.right)

    def scale(self, k: int, expected: Array) -> float:
        """Return the scale of tensor k, at least the largest entry of `expected`.

        A predicted gradient can be larger than the right one; its rounding errors are larger too.
        """
        return max(self.scales[k], largest(expected))

    def wrong(self, k: int) -> bool:
        """Return whether gradient k is wrong."""
        return not close(self.seen[k], self.right[k], self.scales[k], self.precision.verdict)

    @cached_property
    def all_right(self) -> bool:
        """Whether the functions ran and every gradient is right."""
        return self.failure is None and not any(self.wrong(k) for k in range(len(self.right)))


@dataclass(frozen=True)
class Trial:
    """One pair of functions, with everything that determines the problems on which it runs.

    subject: the student's functions. seed: the seed of all random arrays. sizes: sizes that replace those of the
    task, for functions that run only if some sizes are equal.
    """

    subject: Subject
    task: Task
    seed: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)

    def run(self, probe: Probe, careful: bool = False, precision: Precision = FLOAT64_PRECISION) -> ProbeResult:
        """Run the student's functions and the reference on a probe. careful: look for side effects too."""
        given, into = problem(self.task, probe, self.seed, self.sizes)
        right_outputs, right = tasks.right(self.task, given, into)
        seen = self.subject.run(self.task, given, into, careful)
        return ProbeResult(
            self.task, probe, given, into, seen.outputs or [], seen.gradients or [], right_outputs, right,
            seen.failure, seen.remarks, precision,
        )  # fmt: skip


def largest(a: Array) -> float:
    """Return the largest absolute value of an array; 0 for an empty one."""
    return float(np.max(np.abs(a), initial=0.0))


def scales(right: list[Array]) -> list[float]:
    """Return the scale of each array: its largest entry, at least a fixed share of the largest entry of all arrays."""
    sizes = [largest(r) for r in right]
    floor = SMALL_TENSOR * max(sizes, default=0.0)
    return [max(size, floor, 1e-300) for size in sizes]


def close(seen: Any, expected: Array, scale: float, limit: float) -> bool:
    """Return whether `seen` is a numeric array of the expected shape with all errors at most limit * scale."""
    if seen is None or seen.shape != expected.shape or seen.dtype.kind not in "fiub":
        return False
    return bool(np.all(np.abs(seen - expected) <= limit * scale))


def deviation(seen: Array, expected: Array, scale: float) -> float:
    """Return the largest error relative to the scale."""
    return largest(seen - expected) / scale
