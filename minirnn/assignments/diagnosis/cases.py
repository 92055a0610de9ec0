"""A probe with its results: what the student's functions returned beside the right answer."""

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
    """How far apart two numbers may lie. `verdict` decides right or wrong, `match` whether a known mistake fits.

    Relative to the tensor's scale. In float64 both are far above rounding (about 1e-15 times the length of the sums)
    and far below what a mistake does.
    """

    verdict: float
    match: float


DOUBLE = Precision(tolerance(float(np.finfo(np.float64).eps)), 1e-9)
SINGLE = Precision(4 * tolerance(float(np.finfo(np.float32).eps)), 3e-4)


@dataclass
class Case:
    """One probe of one task. `seen` are the student's gradients as they came; `right` the reference's."""

    task: Task
    probe: Probe
    given: dict[str, Any]
    into: list[Array]
    outputs: list[Any]
    seen: list[Any]
    right_outputs: list[Array]
    right: list[Array]
    failure: Failure | None = None
    remarks: Mapping[str, Any] = field(default_factory=dict)
    precision: Precision = DOUBLE
    trace: Trace | None = None

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The letters' numbers, from the arguments' shapes."""
        found: dict[str, int] = {}
        for name, axes in self.task.shapes.items():
            if axes != "-" and isinstance(self.given[name], np.ndarray):
                found.update(zip(axes, self.given[name].shape, strict=True))
        return found

    @property
    def names(self) -> list[str]:
        return list(self.task.gradients)

    @cached_property
    def scales(self) -> list[float]:
        """What an error in each tensor is measured by: its largest entry, or a share of the largest of all."""
        return scales(self.right)

    def scale(self, k: int) -> float:
        return self.scales[k]

    def wrong(self, k: int) -> bool:
        return not close(self.seen[k], self.right[k], self.scale(k), self.precision.verdict)

    @cached_property
    def all_right(self) -> bool:
        return self.failure is None and not any(self.wrong(k) for k in range(len(self.right)))


def scales(right: list[Array]) -> list[float]:
    sizes = [float(np.max(np.abs(r), initial=0.0)) for r in right]
    floor = SMALL_TENSOR * max(sizes, default=0.0)
    return [max(size, floor, 1e-300) for size in sizes]


def close(seen: Any, expected: Array, scale: float, limit: float) -> bool:
    """Whether it is an array of the same shape, of finite numbers, all within limit * scale."""
    if seen is None or seen.shape != expected.shape or seen.dtype.kind not in "fiub":
        return False
    return bool(np.all(np.abs(seen - expected) <= limit * scale))


def deviation(seen: Array, expected: Array, scale: float) -> float:
    """The largest difference relative to the scale."""
    return float(np.max(np.abs(seen - expected), initial=0.0)) / scale


def take(subject: Subject, task: Task, probe: Probe, seed: int, sizes: dict[str, int], careful: bool = False) -> Case:
    """Run the student's functions on a probe, and the reference beside them."""
    given, into = problem(task, probe, seed, sizes)
    return compare(subject, task, probe, given, into, careful)


def compare(
    subject: Subject, task: Task, probe: Probe, given: dict[str, Any], into: list[Array], careful: bool = False
) -> Case:
    """The same for arguments and upstream that are there already."""
    forward = tasks.trace(task, given) if task.cell else None
    if forward is not None:
        last = forward.steps[-1]
        expected: list[Any] = [forward.h] if task.sequence else [last.h, last.c][: len(task.outputs)]
        right = tasks.predict(task, forward, into, {})
    else:
        expected, right = tasks.right(task, given, into)
    seen = subject.run(task, given, into, careful)
    return Case(
        task, probe, given, into, seen.outputs or [], seen.gradients or [], expected, right,
        seen.failure, seen.remarks, trace=forward,
    )  # fmt: skip
