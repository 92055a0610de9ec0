"""The functions that a course asks for: their names, signatures and shapes, and the right results.

Names and signatures of the recurrent layers, the embedding and the loss are those of Stanford's CS231n, assignment 3
(`rnn_layers.py`), which many courses use. GRU, attention and clipping follow the same pattern. The GRU takes two
biases, because r multiplies the recurrent bias of n (PyTorch's convention).

A `Task` is a pair of functions, `forward(*arguments) -> *outputs, cache` and
`backward(*upstreams, cache) -> *gradients`. If a task has no backward function, its values are judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minirnn.assignments.catalogue import answers as untyped_answers
from minirnn.assignments.catalogue import passes
from minirnn.assignments.catalogue.passes import COURSE_GATES, Array, Switches, Trace

answers: Any = untyped_answers  # like a student's file, it has no type annotations
Sizes = Mapping[str, int]
Results = tuple[list[Array], list[Array]]  # outputs, gradients


@dataclass(frozen=True)
class Task:
    """One pair of functions.

    Axes are letters: N samples, T steps, D inputs, H hidden units, K all gates' blocks, V words, E values; "-" is a
    scalar and "" a list of arrays.
    """

    name: str
    assignment: str
    forward: str  # the name of the function
    backward: str | None
    shapes: dict[str, str]  # the axes of each argument of forward
    outputs: dict[str, str]  # the axes of each result of forward, without the cache
    gradients: dict[str, str]  # the results of backward, and the argument that each belongs to
    cell: str | None = None  # the recurrent cell, if the task is one
    sequence: bool = False  # a recurrent layer over a sequence, not a single step
    gates: str = ""  # the order of the gates' blocks
    truncate: int = 0  # the gradient is cut off every `truncate` steps; 0: not cut off
    fixed: tuple[str, ...] = ()  # the arguments without a gradient
    combined: bool = False  # one function returns value and gradient
    draw: Callable[[Sizes, np.random.Generator], dict[str, Any]] | None = field(default=None, repr=False)
    answer: Callable[[Mapping[str, Any], list[Array]], Results] | None = field(default=None, repr=False)
    sizes: tuple[tuple[str, int], ...] = (("N", 2), ("T", 4), ("D", 3), ("H", 5))

    @property
    def blocks(self) -> int:
        """The number of the gates' blocks in the weights."""
        return len(self.gates)

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the functions."""
        return (self.forward,) if self.backward is None else (self.forward, self.backward)

    def axes(self, name: str) -> str:
        """Return the axes of an argument, an output or a gradient."""
        axes = {**self.outputs, **self.shapes}
        return axes[name] if name in axes else self.shapes[self.gradients[name]]

    def has_blocks(self, tensor: str) -> bool:
        """Return whether the tensor has a block for each of several gates."""
        return self.blocks > 1 and self.axes(tensor).endswith("K")

    def has_steps(self, tensor: str) -> bool:
        """Return whether the tensor has an axis of time steps."""
        return self.sequence and self.axes(tensor).startswith("NT")

    def signature(self) -> str:
        """Return `forward(x, ...) -> h, cache`, as the student sees it."""
        results = [*self.outputs, *(self.gradients if self.combined else ["cache"] if self.backward else [])]
        return f"{self.forward}({', '.join(self.shapes)}) -> {', '.join(results)}"

    def backward_signature(self) -> str:
        """Return `backward(dh, cache) -> dx, ...`."""
        upstreams = ", ".join("d" + name for name in self.outputs)
        return f"{self.backward}({upstreams}, cache) -> {', '.join(self.gradients)}"


def shape(axes: str, sizes: Sizes) -> tuple[int, ...]:
    """Return the shape for the letters of its axes."""
    return tuple(sizes[letter] for letter in axes if letter != "-")


def with_blocks(task: Task, sizes: Sizes) -> dict[str, int]:
    """Return the sizes with K, the width of all gates' blocks."""
    return {**sizes, "K": max(1, task.blocks) * sizes.get("H", 1)}


def arguments(task: Task, sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
    """Draw random arguments. The weights are scaled so that the gates are neither linear nor saturated."""
    if task.draw is not None:
        return task.draw(sizes, rng)
    full = with_blocks(task, sizes)
    found: dict[str, Any] = {}
    for name, axes in task.shapes.items():
        value = rng.standard_normal(shape(axes, full))
        if name in ("Wx", "Wh"):
            value *= 1.2 / np.sqrt(value.shape[0])
        elif name.startswith("b"):
            value *= 0.6
        found[name] = value
    return found


def upstreams(task: Task, sizes: Sizes, rng: np.random.Generator) -> list[Array]:
    """Draw a random gradient into each output. Gradients of ones would hide permutations."""
    full = with_blocks(task, sizes)
    return [rng.standard_normal(shape(axes, full)) for axes in task.outputs.values()]


# ---- the right results ---------------------------------------------------------------------------------------------


def trace(task: Task, given: Mapping[str, Any]) -> Trace:
    """Return the right forward pass of a recurrent task, with everything that it computes."""
    assert task.cell is not None
    x = given["x"] if task.sequence else given["x"][:, None]
    h0 = given["h0"] if task.sequence else given["prev_h"]
    biases = tuple(given[name] for name in task.shapes if name.startswith("b"))
    return passes.forward(task.cell, task.gates, x, h0, given.get("prev_c"), given["Wx"], given["Wh"], biases)


def predict(task: Task, forward: Trace, into: list[Array], setting: Mapping[str, Any]) -> list[Array]:
    """Return the gradients of a recurrent task with a mistake in it, in the order of `task.gradients`.

    into: the gradients into the outputs. setting: fields of `passes.Switches` by name; {}: the right gradients.
    """
    dh = into[0] if task.sequence else into[0][:, None]
    dc = into[1] if len(into) > 1 else None
    if task.truncate and not {"carry_h", "carry_c", "window"} & set(setting):
        setting = {**setting, **dict.fromkeys(("carry_h", "carry_c"), ("cut", task.truncate, "start"))}
    found = passes.backward(forward, dh, dc, Switches(**setting))
    if not task.sequence:
        found["dx"] = found["dx"][:, 0]
    names = {"dprev_h": "dh0", "dprev_c": "dc0", "dbx": "db", "dbh": "dbh"}
    return [found[names.get(name, name)] for name in task.gradients]


def right(task: Task, given: Mapping[str, Any], into: list[Array]) -> Results:
    """Return the right outputs and gradients, in the order of `task.outputs` and `task.gradients`."""
    if task.answer is not None:
        return task.answer(given, into)
    forward = trace(task, given)
    last = forward.steps[-1]
    outputs: list[Any] = [forward.h] if task.sequence else [last.h, last.c][: len(task.outputs)]
    return outputs, predict(task, forward, into, {})


# ---- the recurrent layers ------------------------------------------------------------------------------------------


def _recurrent(cell: str) -> tuple[Task, Task]:
    biases = ("bx", "bh") if cell == "gru" else ("b",)
    weights = {"Wx": "DK", "Wh": "HK", **dict.fromkeys(biases, "K")}
    state = {"prev_c": "NH"} if cell == "lstm" else {}
    step = {"x": "ND", "prev_h": "NH", **state, **weights}
    whole = {"x": "NTD", "h0": "NH", **weights}
    outputs = {"next_h": "NH", **({"next_c": "NH"} if state else {})}
    common: dict[str, Any] = {"cell": cell, "gates": COURSE_GATES[cell], "assignment": cell}
    return (
        Task(
            f"{cell}_step",
            forward=f"{cell}_step_forward",
            backward=f"{cell}_step_backward",
            shapes=step,
            outputs=outputs,
            gradients={"d" + name: name for name in step},
            sizes=(("N", 2), ("D", 3), ("H", 5)),
            **common,
        ),
        Task(
            cell,
            forward=f"{cell}_forward",
            backward=f"{cell}_backward",
            shapes=whole,
            outputs={"h": "NTH"},
            gradients={"d" + name: name for name in whole},
            sequence=True,
            **common,
        ),
    )


# ---- embedding, loss, attention, clipping --------------------------------------------------------------------------
# The right results are those of the model answers, which the tests compare with independent computations.


def _draw_tokens(sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
    tokens = rng.integers(0, sizes["V"], (sizes["N"], sizes["T"]))
    if sizes.get("unique"):
        tokens = rng.permutation(sizes["V"])[: tokens.size].reshape(tokens.shape)
    return {"x": tokens, "W": rng.standard_normal((sizes["V"], sizes["D"]))}


def _draw_loss(sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
    N, T, V = sizes["N"], sizes["T"], sizes["V"]
    mask = rng.random((N, T)) < 0.7
    mask[0, 0], mask[-1, -1] = True, False
    if sizes.get("full"):
        mask[:] = True
    return {"x": 2 * rng.standard_normal((N, T, V)), "y": rng.integers(0, V, (N, T)), "mask": mask}


def _draw_attention(sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
    N, T, D, E = sizes["N"], sizes["T"], sizes["D"], sizes["E"]
    lengths = np.arange(N) % T + 1 if not sizes.get("full") else np.full(N, T)
    return {
        "query": rng.standard_normal((N, D)),
        "keys": rng.standard_normal((N, T, D)),
        "values": rng.standard_normal((N, T, E)),
        "mask": np.arange(T) < lengths[:, None],
    }


def _draw_gradients(limit: str, value: float) -> Callable[[Sizes, np.random.Generator], dict[str, Any]]:
    """Return a function that draws gradients to clip, with the limit of this name (of no effect if "large")."""

    def draw(sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
        grads = [3 * rng.standard_normal((sizes["N"], sizes["D"])), rng.standard_normal(sizes["H"])]
        return {"grads": grads, limit: 1000.0 if sizes.get("large") else value}

    return draw


def _embedding(given: Mapping[str, Any], into: list[Array]) -> Results:
    out, cache = answers.word_embedding_forward(**given)
    return [out], [answers.word_embedding_backward(*into, cache)]


def _loss(given: Mapping[str, Any], into: list[Array]) -> Results:
    loss, dx = answers.temporal_softmax_loss(**given)
    return [np.asarray(loss)], [dx]


def _attention(given: Mapping[str, Any], into: list[Array]) -> Results:
    out, cache = answers.attention_forward(**given)
    return [out], list(answers.attention_backward(*into, cache))


_SMALL = (("N", 3), ("T", 4), ("D", 2), ("H", 5))
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        *_recurrent("rnn"),
        *_recurrent("lstm"),
        *_recurrent("gru"),
        Task(
            "word_embedding",
            "embedding",
            "word_embedding_forward",
            "word_embedding_backward",
            {"x": "NT", "W": "VD"},
            {"out": "NTD"},
            {"dW": "W"},
            fixed=("x",),
            draw=_draw_tokens,
            answer=_embedding,
            sizes=(("N", 2), ("T", 4), ("D", 3), ("V", 5)),
        ),
        Task(
            "temporal_softmax_loss",
            "softmax-loss",
            "temporal_softmax_loss",
            None,
            {"x": "NTV", "y": "NT", "mask": "NT"},
            {"loss": "-"},
            {"dx": "x"},
            fixed=("y", "mask"),
            combined=True,
            draw=_draw_loss,
            answer=_loss,
            sizes=(("N", 2), ("T", 4), ("V", 5)),
        ),
        Task(
            "attention",
            "attention",
            "attention_forward",
            "attention_backward",
            {"query": "ND", "keys": "NTD", "values": "NTE", "mask": "NT"},
            {"out": "NE"},
            {"dquery": "query", "dkeys": "keys", "dvalues": "values"},
            fixed=("mask",),
            draw=_draw_attention,
            answer=_attention,
            sizes=(("N", 3), ("T", 4), ("D", 2), ("E", 5)),
        ),
        Task(
            "clip_grad_norm",
            "clipping",
            "clip_grad_norm",
            None,
            {"grads": "", "max_norm": "-"},
            {"clipped": ""},
            {},
            fixed=("max_norm",),
            draw=_draw_gradients("max_norm", 1.5),
            answer=lambda given, into: (answers.clip_grad_norm(**given), []),
            sizes=_SMALL,
        ),
        Task(
            "clip_grad_value",
            "clipping",
            "clip_grad_value",
            None,
            {"grads": "", "limit": "-"},
            {"clipped": ""},
            {},
            fixed=("limit",),
            draw=_draw_gradients("limit", 0.8),
            answer=lambda given, into: (answers.clip_grad_value(**given), []),
            sizes=_SMALL,
        ),
    )
}


def chosen(gates: str | None = None, truncate: int = 0) -> dict[str, Task]:
    """Return all tasks, with the given order of the gates in the cells that it fits, and truncation in the sequences.

    Raises ValueError if `gates` isn't an order of a cell's gates, or `truncate` is negative.
    """
    if gates is not None and sorted(gates) not in (sorted(COURSE_GATES["lstm"]), sorted(COURSE_GATES["gru"])):
        raise ValueError(f"gates must be an order of the letters ifog (LSTM) or rzn (GRU); got {gates!r}")
    if truncate < 0:
        raise ValueError(f"truncate must be a number of steps, at least 1, or 0 for no truncation; got {truncate}")
    return {
        name: replace(
            task,
            gates=gates if gates is not None and sorted(gates) == sorted(task.gates) else task.gates,
            truncate=truncate if task.sequence else 0,
        )
        for name, task in TASKS.items()
    }
