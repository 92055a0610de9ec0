"""The files that students start from: stubs with shapes and hints for the derivation."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

from minirnn.assignments.catalogue.tasks import TASKS, Task


@dataclass(frozen=True)
class Assignment:
    """What `minirnn assignments` lists: the tasks, in order, and how the file is checked."""

    name: str
    title: str
    tasks: tuple[str, ...]
    options: str = ""

    def command(self, path: str) -> str:
        return f"minirnn check {path}{self.options}"


ASSIGNMENTS = {
    a.name: a
    for a in (
        Assignment("rnn", "a recurrent layer with tanh", ("rnn_step", "rnn")),
        Assignment("lstm", "a layer with memory cells and gates", ("lstm_step", "lstm")),
        Assignment("gru", "a layer with two gates", ("gru_step", "gru")),
        Assignment("embedding", "a vector for each word", ("word_embedding",)),
        Assignment("softmax-loss", "cross entropy over time, with padding", ("temporal_softmax_loss",)),
        Assignment("attention", "a query looks at some of many keys", ("attention",)),
        Assignment(
            "truncated-bptt", "an RNN whose gradient is cut off every 3 steps", ("rnn_step", "rnn"), " --truncate 3"
        ),
        Assignment("clipping", "gradients that don't explode", ("clip_grad_norm", "clip_grad_value")),
    )
}

_GATES = """    a = x Wx + prev_h Wh + b, in four blocks of H columns: i, f, o, g.
    i, f, o = sigmoid of theirs; g = tanh of its own
    next_c = f * prev_c + i * g
    next_h = o * tanh(next_c)"""
_LSTM_BACK = """    Work backwards through the equations, a line for each:
    next_h = o * tanh(next_c)      gives do, and a share of the gradient into next_c, which dnext_c already holds
    next_c = f * prev_c + i * g    gives df, dprev_c, di, dg from that sum
    then each gate through its activation (s' = s (1 - s), tanh' = 1 - tanh**2), then the products."""
_LOOP_BACK = """    From the last step to the first. h_t reaches the loss in two ways: directly (dh[:, t]), and through
    step t + 1.
    The weights are the same at each step: their gradients add up."""
_HINTS = {
    "rnn_step_forward": "    next_h = tanh(x Wx + prev_h Wh + b)",
    "rnn_step_backward": "    tanh'(a) = 1 - tanh(a)**2. Which array has the shape of dWx, and which sum gives it?",
    "rnn_forward": "    A loop over rnn_step_forward. Keep one cache for each step.",
    "rnn_backward": _LOOP_BACK,
    "lstm_step_forward": _GATES,
    "lstm_step_backward": _LSTM_BACK,
    "lstm_forward": "    c starts at zero. Keep one cache for each step.",
    "lstm_backward": _LOOP_BACK + "\n    c_t is carried likewise: from step to step, beside h.",
    "gru_step_forward": """    ax = x Wx + bx and ah = prev_h Wh + bh, each in three blocks: r, z, n.
    r, z = sigmoid(ax + ah) of their blocks
    n = tanh(ax_n + r * ah_n)
    next_h = (1 - z) * n + z * prev_h""",
    "gru_step_backward": "    prev_h is used three times: in the products, in ah_n, in z * prev_h. Add up.",
    "gru_forward": "    A loop over gru_step_forward.",
    "gru_backward": _LOOP_BACK,
    "word_embedding_forward": "    out[n, t] = W[x[n, t]]",
    "word_embedding_backward": "    A token that occurs twice gets the sum of both gradients.",
    "temporal_softmax_loss": """    loss = -sum over n, t of mask[n, t] * log p[n, t, y[n, t]], divided by N;
    p = softmax(x).
    dx has a short form. Its rows sum to zero, and padded steps have none.""",
    "attention_forward": """    a = softmax over t of (query . keys[:, t]) / sqrt(D), where mask is True
    out = sum_t a_t values_t""",
    "attention_backward": "    With da the gradient into a: ds = a * (da - sum(a * da)).",
    "clip_grad_norm": "    If the norm of all entries together is above max_norm, scale all arrays by the same factor.",
    "clip_grad_value": "    Each entry into [-limit, limit]. Don't change the arrays that came in.",
}
_TRUNCATED = """The gradient is to be cut off between the chunks of 3 steps: states 0-2, 3-5, ... No gradient passes
from step 3 to step 2, from 6 to 5, and so on; dh0 is that of the first chunk."""


def template(assignment: Assignment) -> str:
    """The text of the file to start from."""
    head = [f'"""{assignment.title[0].upper()}{assignment.title[1:]}.', ""]
    if assignment.name == "truncated-bptt":
        head += [_TRUNCATED, ""]
    head += ["N samples, T steps, D inputs, H hidden units. Check your work at any time:", ""]
    head += [f"    {assignment.command(f'{assignment.name}.py')}", '"""', "", "import numpy as np"]
    lines = head
    for name in assignment.tasks:
        task = TASKS[name]
        for function in task.functions:
            lines += ["", "", *_stub(task, function)]
    return "\n".join(lines) + "\n"


def _stub(task: Task, function: str) -> list[str]:
    forward = function == task.forward
    arguments = list(task.shapes) if forward else [*("d" + name for name in task.outputs), "cache"]
    if forward:
        results = [_sized(task, name) for name in task.outputs]
        results += [_sized(task, g) for g in task.gradients] if task.combined else []
        results += ["cache: whatever backward needs"] if task.backward else []
        given = [_sized(task, name) for name in task.shapes]
    else:
        given = [f"{'d' + name} {_shape(task, name)}" for name in task.outputs]
        results = [_sized(task, name) for name in task.gradients]
    head = textwrap.wrap(f'"""{", ".join(given)} -> {", ".join(results)}.', 112)
    lines = [f"def {function}({', '.join(arguments)}):", *(f"    {line}" for line in head), ""]
    return [*lines, *_HINTS[function].splitlines(), '    """', "    raise NotImplementedError"]


def _sized(task: Task, name: str) -> str:
    return f"{name} {_shape(task, name)}".strip()


def _shape(task: Task, name: str) -> str:
    axes = task.axes(name)
    if axes in ("", "-"):
        return "(a list of arrays)" if axes == "" else ""
    width = {1: "H"}.get(task.blocks, f"{task.blocks}H")
    letters = [width if letter == "K" else letter for letter in axes]
    return f"({', '.join(letters)}{',' if len(letters) == 1 else ''})"


def start(name: str, folder: Path) -> Path:
    """Write an assignment's template into a folder, made if need be. -> its path.

    Raises KeyError for an unknown assignment, FileExistsError rather than overwrite anything.
    """
    assignment = ASSIGNMENTS[name]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    if path.exists():
        raise FileExistsError(f"{path} is there already")
    beside = path.with_name(path.name + ".part")
    beside.write_text(template(assignment), encoding="utf-8")
    os.replace(beside, path)
    return path
