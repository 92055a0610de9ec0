"""Is the forward pass right? And if not: is it a known other one, and does backward at least belong to it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import numpy as np

from minirnn import gradcheck
from minirnn.assignments.catalogue import passes
from minirnn.assignments.catalogue.passes import Array
from minirnn.assignments.diagnosis.cases import Case, close
from minirnn.assignments.diagnosis.places import malformation
from minirnn.assignments.sandbox.observe import Subject


def wrong(case: Case) -> list[str]:
    """Sentences about the outputs that are wrong; empty if all are right."""
    found = []
    names = list(case.task.outputs)
    labels = (
        names if len(names) == len(case.right_outputs) else [f"{names[0]}[{k}]" for k in range(len(case.right_outputs))]
    )
    if len(case.outputs) != len(case.right_outputs):
        return [f"{case.task.forward} returned {len(case.outputs)} arrays, expected {len(case.right_outputs)}"]
    for label, seen, right in zip(labels, case.outputs, case.right_outputs, strict=True):
        if problem := malformation(seen, right):
            found.append(f"{case.task.forward}: {label} is wrong: {problem}")
        elif not close(seen, right, max(float(np.max(np.abs(right), initial=0.0)), 1e-2), case.precision.verdict):
            found.append(_numbers(case, label, seen, right))
    if found and case.task.cell and (known := _known(case)):
        found.append(known)
    return found


def _numbers(case: Case, label: str, seen: Array, right: Array) -> str:
    error = np.abs(seen - right)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(error)), error.shape))
    where = ""
    if case.task.sequence and right.ndim == 3:
        steps = [t for t in range(right.shape[1]) if not close(seen[:, t], right[:, t], 1.0, case.precision.verdict)]
        where = f", first at step {steps[0]}" if steps else ""
    place = f"[{', '.join(map(str, index))}]" if index else ""
    numbers = f"{label}{place} is {seen[index]:.9g}, expected {right[index]:.9g}"
    return f"{case.task.forward}: {label} is wrong{where}: {numbers}"


def _known(case: Case) -> str:
    """The sentence for a known other forward pass that gives these outputs."""
    for text, outputs in _others(case):
        if all(close(s, o, 1.0, case.precision.match) for s, o in zip(case.outputs, outputs, strict=True)):
            return text
    return ""


def _others(case: Case) -> Iterator[tuple[str, list[Array]]]:
    task = case.task
    assert task.cell is not None
    gates = task.gates
    for order in map("".join, permutations(gates)):
        if order != gates:
            text = f"it is right for gates in the order {', '.join(order)}: give --gates {order}, or reorder the blocks"
            yield text, _outputs(case, order)
    yield (
        "it equals a forward pass without the bias",
        _outputs(case, gates, lambda g: {**g, **_no_bias(task.shapes, g)}),
    )
    state = "h0" if task.sequence else "prev_h"
    yield f"it equals a forward pass that ignores {state}", _outputs(case, gates, lambda g: {**g, state: 0 * g[state]})


def _no_bias(shapes: dict[str, str], given: dict[str, Any]) -> dict[str, Any]:
    return {name: 0 * given[name] for name in shapes if name.startswith("b")}


def _outputs(case: Case, gates: str, change: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> list[Array]:
    task, given = case.task, change(case.given)
    x = given["x"] if task.sequence else given["x"][:, None]
    h0 = given["h0"] if task.sequence else given["prev_h"]
    biases = tuple(given[name] for name in task.shapes if name.startswith("b"))
    assert task.cell is not None
    trace = passes.forward(task.cell, gates, x, h0, given.get("prev_c"), given["Wx"], given["Wh"], biases)
    last = trace.steps[-1]
    found: list[Any] = [trace.h] if task.sequence else [last.h, last.c]
    return found[: len(task.outputs)]


def consistent(problems: list[str], subject: Subject, case: Case) -> None:
    """Add a sentence: whether backward is at least the gradient of the forward pass that is there."""
    task = case.task
    if not task.gradients or case.failure is not None or any(s is None for s in case.outputs):
        return
    names = list(task.gradients.values())

    def forward(*values: Array) -> tuple[Any, ...]:
        seen = subject.run(task, {**case.given, **dict(zip(names, values, strict=True))}, case.into)
        if seen.outputs is None:
            raise ValueError(str(seen.failure))
        return (*seen.outputs, None)

    try:
        inputs = [case.given[name] for name in names]
        upstream = case.into if len(case.into) > 1 else case.into[0]
        report = gradcheck.check(
            forward, lambda *_: tuple(case.seen), inputs, upstream=upstream, mode="directional", names=names
        )
    except (ValueError, TypeError):
        return
    name = task.backward or task.forward
    if not report.failed():
        problems.append(f"{name}: the gradients belong to this forward pass; set that right, and they will follow")
    else:
        wrong = ", ".join("d" + tensor for tensor in report.failed())
        problems.append(f"{name}: the gradients don't belong to this forward pass either ({wrong})")
