"""The places where a gradient is wrong: which tensors, which gates' blocks and which time steps, as a small map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minirnn.assignments.diagnosis.probe_results import ProbeResult, close

PLACE_MARKS = {True: "x", False: "."}


@dataclass(frozen=True)
class Place:
    """One tensor of a result.

    problem: why the tensor can't be compared with the right one, or "". blocks: whether each gate's block is wrong;
    None if the tensor has no blocks. steps: whether each time step is wrong; None if the tensor has no steps.
    error: the largest error, relative to the scale of the tensor. index: the entry with the largest error.
    got, expected: the student's value and the right value of this entry.
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


def places(result: ProbeResult) -> list[Place]:
    """Return one place for each tensor, right or wrong."""
    return [_place(result, k, name) for k, name in enumerate(result.names)]


def _place(result: ProbeResult, k: int, name: str) -> Place:
    seen, right = result.seen[k], result.right[k]
    scale, limit = result.scales[k], result.precision.verdict
    problem = malformation(seen, right)

    def off(where: Any) -> bool:
        return bool(problem) or not close(seen[where], right[where], scale, limit)

    gates, H = result.task.gates, right.shape[-1] // max(1, result.task.blocks)
    columns = {gate: np.s_[..., n * H : (n + 1) * H] for n, gate in enumerate(gates)}
    blocks = {gate: off(where) for gate, where in columns.items()} if result.task.has_blocks(name) else None
    steps = [off(np.s_[:, t]) for t in range(right.shape[1])] if result.task.has_steps(name) else None
    place = Place(name, bool(problem) or result.wrong(k), problem, blocks, steps)
    if problem or not right.size:
        return place
    index = worst(seen, right)
    error = float(abs(seen[index] - right[index])) / scale
    return replace(place, error=error, index=index, got=float(seen[index]), expected=float(right[index]))


def worst(seen: np.ndarray, right: np.ndarray) -> tuple[int, ...]:
    """Return the index of the entry with the largest error."""
    errors = np.abs(seen - right)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(errors)), errors.shape))


def malformation(seen: Any, right: np.ndarray) -> str:
    """Return why a result is not an array of finite floats of the right shape, or "" if it is one."""
    if seen is None:
        return "it is None"
    if seen.dtype.kind not in "fiubc":
        return "it isn't an array of numbers"
    if seen.shape != right.shape:
        return f"its shape is {seen.shape}, expected {right.shape}"
    if seen.dtype.kind in "iub":
        return f"its dtype is {seen.dtype}, expected floats"
    if seen.dtype.kind == "c":
        return "it is complex, expected floats"
    bad = np.argwhere(~np.isfinite(seen))
    if len(bad):
        return f"{len(bad)} of {seen.size} entries aren't finite, the first at {tuple(map(int, bad[0]))}"
    return ""


def drawn(found: list[Place]) -> list[str]:
    """Return the map: one line for each tensor, with `x` for wrong and `.` for right."""
    width = max(len(place.tensor) for place in found)
    lines = []
    for place in found:
        parts = [f"  {place.tensor.ljust(width)}  {'wrong' if place.wrong else 'right'}"]
        if place.blocks is not None:
            parts.append("blocks " + " ".join(f"{gate}{PLACE_MARKS[bad]}" for gate, bad in place.blocks.items()))
        if place.steps is not None:
            parts.append("steps " + "".join(PLACE_MARKS[bad] for bad in place.steps))
        if place.problem:
            parts.append(place.problem)
        lines.append("   ".join(parts))
    return lines
