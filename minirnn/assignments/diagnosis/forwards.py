"""Check the forward pass: is it right, does a wrong one equal a known other one, and does backward belong to it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

from minirnn import gradcheck
from minirnn.assignments.catalogue import tasks
from minirnn.assignments.catalogue.passes import Array
from minirnn.assignments.catalogue.tasks import Task
from minirnn.assignments.diagnosis.places import malformation, worst
from minirnn.assignments.diagnosis.probe_results import ProbeResult, close, largest
from minirnn.assignments.sandbox.observe import Subject


def wrong(result: ProbeResult) -> list[str]:
    """Return sentences about the wrong outputs; empty if all outputs are right."""
    function, count = result.task.forward, len(result.right_outputs)
    if len(result.outputs) != count:
        return [f"{function} returned {len(result.outputs)} arrays, expected {count}"]
    labels = list(result.task.outputs)
    if len(labels) != count:
        labels = [f"{labels[0]}[{k}]" for k in range(count)]
    found = []
    for label, seen, right in zip(labels, result.outputs, result.right_outputs, strict=True):
        if problem := malformation(seen, right):
            found.append(f"{function}: {label} is wrong: {problem}")
        elif not close(seen, right, max(largest(right), 1e-2), result.precision.verdict):
            found.append(f"{function}: {label} is wrong{_numbers(result, label, seen, right)}")
    return found + (_known(result)[:1] if found and result.task.cell else [])


def _numbers(result: ProbeResult, label: str, seen: Array, right: Array) -> str:
    """Return the first wrong step and the entry with the largest error, as text."""
    where = ""
    if result.task.sequence and right.ndim == 3:
        limit = result.precision.verdict
        first = next((t for t in range(right.shape[1]) if not close(seen[:, t], right[:, t], 1.0, limit)), None)
        where = f", first at step {first}" if first is not None else ""
    index = worst(seen, right)
    place = f"[{', '.join(map(str, index))}]" if index else ""
    return f"{where}: {label}{place} is {seen[index]:.9g}, expected {right[index]:.9g}"


def _known(result: ProbeResult) -> list[str]:
    """Return sentences about the known other forward passes that give these outputs."""
    return [
        text
        for text, task, given in _others(result.task, result.given)
        if all(
            close(seen, other, 1.0, result.precision.match)
            for seen, other in zip(result.outputs, tasks.right(task, given, result.into)[0], strict=True)
        )
    ]


def _others(task: Task, given: Mapping[str, Any]) -> Iterator[tuple[str, Task, Mapping[str, Any]]]:
    """Yield known other forward passes: the sentence, the task and the arguments whose right outputs they give."""
    for order in map("".join, permutations(task.gates)):
        if order != task.gates:
            text = f"it is right for gates in the order {', '.join(order)}: add --gates {order}, or reorder the blocks"
            yield text, replace(task, gates=order), given
    biases = {name: 0 * given[name] for name in task.shapes if name.startswith("b")}
    yield "it equals a forward pass without the bias", task, {**given, **biases}
    state = "h0" if task.sequence else "prev_h"
    yield f"it equals a forward pass that ignores {state}", task, {**given, state: 0 * given[state]}


def differentiable(subject: Subject, task: Task, given: Mapping[str, Any], into: Sequence[Array]) -> dict[str, Any]:
    """Return a pair of functions as the keyword arguments of `gradcheck.check` and `gradcheck.sweep`.

    The inputs are the arguments that have gradients. The forward function runs the student's pair and caches the
    gradients, which the backward function returns. It raises ValueError if the student's functions fail.
    """
    names = list(task.gradients.values())

    def forward(*values: Array) -> tuple[Any, ...]:
        seen = subject.run(task, {**given, **dict(zip(names, values, strict=True))}, list(into))
        if seen.failure is not None:
            raise ValueError(str(seen.failure))
        return (*(seen.outputs or []), seen.gradients)

    return {
        "forward": forward,
        "backward": lambda *upstreams_and_cache: tuple(upstreams_and_cache[-1]),
        "inputs": [given[name] for name in names],
        "upstream": into if len(into) > 1 else into[0],
        "names": names,
    }


def consistent(subject: Subject, result: ProbeResult) -> list[str]:
    """Return a sentence that says whether backward is the gradient of the student's own forward pass.

    Empty if that can't be checked.
    """
    task = result.task
    if not task.gradients or any(output is None for output in result.outputs):
        return []
    try:
        report = gradcheck.check(**differentiable(subject, task, result.given, result.into), mode="directional")
    except (ValueError, TypeError):
        return []
    name, failed = task.backward or task.forward, report.failed()
    if not failed:
        return [f"{name}: the gradients belong to this forward pass; fix the forward pass, and they will be right too"]
    tensors = ", ".join(f"d{tensor}" for tensor in failed)
    return [f"{name}: the gradients don't belong to this forward pass either ({tensors})"]
