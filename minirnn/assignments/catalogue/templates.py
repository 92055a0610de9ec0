"""The files that students start with: stubs with the shapes of arguments and results, and hints for the derivation."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

from minirnn.assignments.catalogue.tasks import TASKS, Task


@dataclass(frozen=True)
class Assignment:
    """An assignment, as `minirnn assignments` lists it."""

    name: str
    title: str
    tasks: tuple[str, ...]  # the names of the tasks, in the order of the file
    options: str = ""  # the options of `minirnn check`, after a space

    def command(self, path: str) -> str:
        """Return the command that checks a file."""
        return f"minirnn check {path}{self.options}"


ASSIGNMENTS = {
    a.name: a
    for a in (
        Assignment("rnn", "a recurrent layer with tanh", ("rnn_step", "rnn")),
        Assignment("lstm", "a layer with memory cells and gates", ("lstm_step", "lstm")),
        Assignment("gru", "a layer with two gates", ("gru_step", "gru")),
        Assignment("embedding", "a vector for each word", ("word_embedding",)),
        Assignment("softmax-loss", "cross entropy over time, with padding", ("temporal_softmax_loss",)),
        Assignment("attention", "a query attends to the keys of a sequence", ("attention",)),
        Assignment(
            "truncated-bptt", "an RNN with the gradient cut off every 3 steps", ("rnn_step", "rnn"), " --truncate 3"
        ),
        Assignment("clipping", "gradients that don't explode", ("clip_grad_norm", "clip_grad_value")),
    )
}

_GATES = """    a = x Wx + prev_h Wh + b, in four blocks of H columns: i, f, o, g.
    i, f, o = sigmoid of their blocks; g = tanh of its block
    next_c = f * prev_c + i * g
    next_h = o * tanh(next_c)"""
_LSTM_BACK = """    Work backwards through the equations, one line for each:
    next_h = o * tanh(next_c)      gives do, and a share of the gradient into next_c. Add this share to dnext_c.
    next_c = f * prev_c + i * g    gives df, dprev_c, di and dg from this sum.
    Then go through each gate's activation (s' = s (1 - s), tanh' = 1 - tanh**2), and through the matrix products."""
_LOOP_BACK = """    Loop from the last step to the first.
    h_t reaches the loss in two ways: directly (dh[:, t]), and through step t + 1.
    All steps use the same weights: sum their gradients over the steps."""
_HINTS = {
    "rnn_step_forward": "    next_h = tanh(x Wx + prev_h Wh + b)",
    "rnn_step_backward": "    tanh'(a) = 1 - tanh(a)**2. Which array has the shape of dWx, and which sum gives it?",
    "rnn_forward": "    Loop over rnn_step_forward. Keep one cache for each step.",
    "rnn_backward": _LOOP_BACK,
    "lstm_step_forward": _GATES,
    "lstm_step_backward": _LSTM_BACK,
    "lstm_forward": "    The initial c is zero. Keep one cache for each step.",
    "lstm_backward": _LOOP_BACK + "\n    Carry the gradient into c from step to step as well.",
    "gru_step_forward": """    ax = x Wx + bx and ah = prev_h Wh + bh, each in three blocks: r, z, n.
    r, z = sigmoid of their blocks of ax + ah
    n = tanh(ax_n + r * ah_n)
    next_h = (1 - z) * n + z * prev_h""",
    "gru_step_backward": "    prev_h is used in ah (for r, z and n) and in z * prev_h. Add the gradients of all uses.",
    "gru_forward": "    Loop over gru_step_forward. Keep one cache for each step.",
    "gru_backward": _LOOP_BACK,
    "word_embedding_forward": "    out[n, t] = W[x[n, t]]",
    "word_embedding_backward": "    If a token occurs twice, the gradient of its row is the sum of both gradients.",
    "temporal_softmax_loss": """    loss = -sum over n, t of mask[n, t] * log p[n, t, y[n, t]], divided by N,
    where p = softmax(x).
    dx has a short formula. Its rows sum to zero, and it is zero at padded steps.""",
    "attention_forward": """    a = softmax of (query . keys[:, t]) / sqrt(D) over the steps t where mask is True
    out = sum_t a_t values_t""",
    "attention_backward": "    If da is the gradient into a, the gradient into the scores is a * (da - sum(a * da)).",
    "clip_grad_norm": "    If the norm of all arrays together is above max_norm, scale all arrays by the same factor.",
    "clip_grad_value": "    Clip each entry to [-limit, limit]. Don't change the arguments in place.",
}
_TRUNCATED = """Cut the gradient off between chunks of 3 steps: steps 0-2, 3-5, ... No gradient flows from step 3 to
step 2, from step 6 to step 5, and so on. dh0 is the gradient of the first chunk."""


def template(assignment: Assignment) -> str:
    """Return the text of the file to start with."""
    lines = [f'"""{assignment.title[0].upper()}{assignment.title[1:]}.', ""]
    lines += [_TRUNCATED, ""] if assignment.name == "truncated-bptt" else []
    lines += ["N samples, T steps, D inputs, H hidden units. Check your work at any time:", ""]
    lines += [f"    {assignment.command(f'{assignment.name}.py')}", '"""', "", "import numpy as np"]
    for task in map(TASKS.__getitem__, assignment.tasks):
        for function in task.functions:
            lines += ["", "", *_stub(task, function)]
    return "\n".join(lines) + "\n"


def _stub(task: Task, function: str) -> list[str]:
    gradients = [_sized(task, name) for name in task.gradients]
    if function == task.forward:
        arguments = list(task.shapes)
        given = [_sized(task, name) for name in task.shapes]
        results = [_sized(task, name) for name in task.outputs] + (gradients if task.combined else [])
        results += ["cache: the values that backward needs"] if task.backward else []
    else:
        arguments = [*("d" + name for name in task.outputs), "cache"]
        given, results = [f"d{_sized(task, name)}" for name in task.outputs], gradients
    head = textwrap.wrap(f'"""{", ".join(given)} -> {", ".join(results)}.', 112)
    lines = [f"def {function}({', '.join(arguments)}):", *(f"    {line}" for line in head), ""]
    return [*lines, *_HINTS[function].splitlines(), '    """', "    raise NotImplementedError"]


def _sized(task: Task, name: str) -> str:
    return f"{name} {_shape(task, name)}".strip()


def _shape(task: Task, name: str) -> str:
    axes = task.axes(name)
    if axes in ("", "-"):
        return "(a list of arrays)" if axes == "" else ""
    width = "H" if task.blocks == 1 else f"{task.blocks}H"
    letters = [width if letter == "K" else letter for letter in axes]
    return f"({', '.join(letters)}{',' if len(letters) == 1 else ''})"


def start(name: str, folder: Path) -> Path:
    """Write an assignment's template into a folder, and create the folder if necessary. Return the file's path.

    Raises KeyError for an unknown assignment, and FileExistsError if the file exists.
    """
    text = template(ASSIGNMENTS[name])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    if path.exists():
        raise FileExistsError(f"{path} exists already: choose another folder, or remove the file")
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
    return path
