"""Where a gradient is wrong: which tensors, which gates' blocks, which time steps, as a small map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.assignments.diagnosis.cases import Case, close

MARKS = {True: "x", False: "."}


@dataclass(frozen=True)
class Place:
    """One tensor on the base problem.

    `blocks` maps each gate to whether its block is wrong; `steps` each time step; `cells` (steps, blocks) where the
    tensor has both, else None. `problem` says what is wrong with a result that can't be compared. `error` is relative
    to the tensor's scale, `index` the entry that is off most.
    """

    tensor: str
    wrong: bool
    problem: str = ""
    blocks: dict[str, bool] | None = None
    steps: list[bool] | None = None
    error: float | None = None
    index: tuple[int, ...] | None = None
    got: float | None = None
    expected: float | None = None


def places(case: Case) -> list[Place]:
    """A place for each tensor, wrong or not."""
    return [_place(case, k, name) for k, name in enumerate(case.names)]


def _place(case: Case, k: int, name: str) -> Place:
    seen, right = case.seen[k], case.right[k]
    problem = malformation(seen, right)
    blocks = dict.fromkeys(case.task.gates, True) if case.task.has_blocks(name) else None
    steps = [True] * right.shape[1] if case.task.has_steps(name) else None
    if problem:
        return Place(name, True, problem, blocks, steps)
    scale, limit = case.scale(k), case.precision.verdict
    if blocks is not None:
        pairs = zip(*(np.split(a, case.task.blocks, axis=-1) for a in (seen, right)), strict=True)
        blocks = {gate: not close(s, r, scale, limit) for gate, (s, r) in zip(case.task.gates, pairs, strict=True)}
    if steps is not None:
        steps = [not close(seen[:, t], right[:, t], scale, limit) for t in range(right.shape[1])]
    errors = np.abs(seen - right)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(errors)), errors.shape)) if errors.size else ()
    return Place(
        name,
        case.wrong(k),
        "",
        blocks,
        steps,
        float(errors[index]) / scale if errors.size else 0.0,
        index,
        float(seen[index]) if errors.size else None,
        float(right[index]) if errors.size else None,
    )


def malformation(seen: Any, right: np.ndarray) -> str:
    """What is wrong with a result that isn't an array of finite floats of the right shape; "" if it is."""
    if seen is None:
        return "it is None"
    if seen.dtype.kind not in "fiubc":
        return "it isn't an array of numbers"
    if seen.shape != right.shape:
        return f"its shape is {seen.shape}, expected {right.shape}"
    if seen.dtype.kind in "iub":
        return f"its dtype is {seen.dtype}, expected floats"
    if seen.dtype.kind == "c":
        return "it is complex"
    bad = np.argwhere(~np.isfinite(seen))
    if len(bad):
        first = tuple(int(i) for i in bad[0])
        return f"{len(bad)} of {seen.size} entries aren't finite, the first at {first}"
    return ""


def drawn(found: list[Place]) -> list[str]:
    """The map: a line for each tensor, `x` wrong, `.` right."""
    width = max(len(place.tensor) for place in found)
    lines = []
    for place in found:
        parts = [f"  {place.tensor.ljust(width)}  {'wrong' if place.wrong else 'right'}"]
        if place.blocks is not None:
            parts.append("blocks " + " ".join(f"{gate}{MARKS[bad]}" for gate, bad in place.blocks.items()))
        if place.steps is not None:
            parts.append("steps " + "".join(MARKS[bad] for bad in place.steps))
        if place.problem:
            parts.append(place.problem)
        lines.append("   ".join(parts))
    return lines
