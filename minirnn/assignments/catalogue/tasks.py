"""The functions a course asks for: names, signatures, shapes, and the right answer to each.

Names and signatures of the recurrent layers, the embedding and the loss are those of Stanford's CS231n, assignment 3
(`rnn_layers.py`), which many courses use. GRU, attention and clipping follow their pattern. The GRU takes two biases,
because r multiplies that of n in the recurrent one (PyTorch's convention; `minirnn.recurrent.cells`).

A `Task` is a pair of functions, `forward(*arguments) -> *outputs, cache` and
`backward(*upstreams, cache) -> *gradients`. A task without a backward function is judged by its values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minirnn.assignments.catalogue import passes
from minirnn.assignments.catalogue.passes import ORDERS, Array, Switches, Trace

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Task:
    """One pair of functions.

    `shapes` gives each argument's axes by letter; an argument of numbers that aren't differentiated is in `fixed`.
    `gradients` are the results of backward, and `of` the argument that each belongs to. `cell` is set for the
    recurrent layers, whose tensors have gate blocks in the order `gates`.
    """

    name: str
    assignment: str
    forward: str
    backward: str | None
    shapes: dict[str, str]
    outputs: dict[str, str]
    gradients: dict[str, str]
    cell: str | None = None
    sequence: bool = False
    gates: str = ""
    truncate: int = 0
    fixed: tuple[str, ...] = ()
    combined: bool = False  # one function that returns value and gradient
    draw: Callable[[Sizes, np.random.Generator], dict[str, Any]] | None = field(default=None, repr=False)
    answer: Callable[..., tuple[list[Array], list[Array]]] | None = field(default=None, repr=False)
    sizes: tuple[tuple[str, int], ...] = (("N", 2), ("T", 4), ("D", 3), ("H", 5))

    @property
    def blocks(self) -> int:
        """How many gates' blocks its weights have."""
        return len(self.gates)

    @property
    def functions(self) -> tuple[str, ...]:
        return (self.forward,) if self.backward is None else (self.forward, self.backward)

    def axes(self, name: str) -> str:
        """The axes' letters of an argument, an output or a gradient."""
        for axes in (self.shapes, self.outputs):
            if name in axes:
                return axes[name]
        return self.shapes[self.gradients[name]]

    def has_blocks(self, tensor: str) -> bool:
        return self.blocks > 1 and self.axes(tensor).endswith("K")

    def has_steps(self, tensor: str) -> bool:
        return self.sequence and self.axes(tensor).startswith("NT")

    def signature(self) -> str:
        """`forward(x, ...) -> h, cache`, as the student sees it."""
        results = [*self.outputs, *self.gradients] if self.combined else [*self.outputs, "cache"]
        results = list(self.outputs) if self.backward is None and not self.combined else results
        return f"{self.forward}({', '.join(self.shapes)}) -> {', '.join(results)}"

    def backward_signature(self) -> str:
        upstreams = ", ".join("d" + name for name in self.outputs)
        return f"{self.backward}({upstreams}, cache) -> {', '.join(self.gradients)}"


def shape(axes: str, sizes: Sizes) -> tuple[int, ...]:
    """The numbers for axes' letters."""
    return tuple(sizes[letter] for letter in axes if letter != "-")


def with_blocks(task: Task, sizes: Sizes) -> dict[str, int]:
    """Sizes with K, the width of all gates' blocks."""
    return {**sizes, "K": max(1, task.blocks) * sizes.get("H", 1)}


def arguments(task: Task, sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
    """Fresh random arguments: weights scaled so that the gates are neither linear nor saturated."""
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
    """A random gradient into each output: never all ones, which hide permutations."""
    full = with_blocks(task, sizes)
    return [rng.standard_normal(shape(axes, full)) for axes in task.outputs.values()]


# ---- the right answers ---------------------------------------------------------------------------------------------


def trace(task: Task, given: Mapping[str, Any]) -> Trace:
    """The right forward pass of a recurrent task, everything kept."""
    assert task.cell is not None
    x = given["x"] if task.sequence else given["x"][:, None]
    h0 = given["h0"] if task.sequence else given["prev_h"]
    biases = tuple(given[name] for name in task.shapes if name.startswith("b"))
    return passes.forward(task.cell, task.gates, x, h0, given.get("prev_c"), given["Wx"], given["Wh"], biases)


def predict(task: Task, forward: Trace, given: list[Array], switches: Switches) -> list[Array]:
    """The gradients of a recurrent task with a mistake in it, in the order of `task.gradients`."""
    dh = given[0] if task.sequence else given[0][:, None]
    dc = given[1] if len(given) > 1 else None
    if task.truncate and not {"carry_h", "carry_c", "window"} & set(switches):
        cut = ("cut", task.truncate, "start")
        switches = {**switches, "carry_h": cut, "carry_c": cut}
    found = passes.backward(forward, dh, dc, switches)
    if not task.sequence:
        found["dx"] = found["dx"][:, 0]
    names = {"dprev_h": "dh0", "dprev_c": "dc0", "dbx": "db", "dbh": "dbh"}
    return [found[names.get(name, name)] for name in task.gradients]


def right(task: Task, given: Mapping[str, Any], into: list[Array]) -> tuple[list[Array], list[Array]]:
    """The right outputs and gradients, in the order of `task.outputs` and `task.gradients`."""
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
    common: dict[str, Any] = {"cell": cell, "gates": ORDERS[cell], "assignment": cell}
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


def _embedding_draw(sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
    tokens = rng.integers(0, sizes["V"], (sizes["N"], sizes["T"]))
    if sizes.get("unique"):
        tokens = rng.permutation(sizes["V"])[: tokens.size].reshape(tokens.shape)
    return {"x": tokens, "W": rng.standard_normal((sizes["V"], sizes["D"]))}


def _embedding(given: Mapping[str, Any], into: list[Array]) -> tuple[list[Array], list[Array]]:
    dW = np.zeros_like(given["W"])
    np.add.at(dW, given["x"], into[0])
    return [given["W"][given["x"]]], [dW]


def _loss_draw(sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
    N, T, V = sizes["N"], sizes["T"], sizes["V"]
    mask = rng.random((N, T)) < 0.7
    mask[0, 0], mask[-1, -1] = True, False
    if sizes.get("full"):
        mask[:] = True
    return {"x": 2 * rng.standard_normal((N, T, V)), "y": rng.integers(0, V, (N, T)), "mask": mask}


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _loss(given: Mapping[str, Any], into: list[Array]) -> tuple[list[Array], list[Array]]:
    x, y, mask = given["x"], given["y"], given["mask"]
    p = _softmax(x)
    chosen = np.eye(x.shape[-1])[y]
    loss = -np.sum(mask[..., None] * chosen * np.log(p)) / len(x)
    return [np.asarray(loss)], [mask[..., None] * (p - chosen) / len(x)]


def _attention_draw(sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
    N, T, D, E = sizes["N"], sizes["T"], sizes["D"], sizes["E"]
    lengths = np.arange(N) % T + 1 if not sizes.get("full") else np.full(N, T)
    return {
        "query": rng.standard_normal((N, D)),
        "keys": rng.standard_normal((N, T, D)),
        "values": rng.standard_normal((N, T, E)),
        "mask": np.arange(T) < lengths[:, None],
    }


def _attention(given: Mapping[str, Any], into: list[Array]) -> tuple[list[Array], list[Array]]:
    """out = sum_t a_t values_t, a = softmax of query . keys_t / sqrt(D) over the steps that the mask admits."""
    q, k, v, mask = (given[name] for name in ("query", "keys", "values", "mask"))
    root = np.sqrt(q.shape[1])
    a = _softmax(np.where(mask, np.einsum("nd,ntd->nt", q, k) / root, -np.inf))
    da = np.einsum("ne,nte->nt", into[0], v)
    ds = a * (da - np.sum(a * da, axis=1, keepdims=True)) / root
    gradients = [np.einsum("nt,ntd->nd", ds, k), ds[..., None] * q[:, None], a[..., None] * into[0][:, None]]
    return [np.einsum("nt,nte->ne", a, v)], gradients


def _norm_draw(sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
    grads = [3 * rng.standard_normal((sizes["N"], sizes["D"])), rng.standard_normal(sizes["H"])]
    return {"grads": grads, "max_norm": 1.5 if not sizes.get("large") else 1000.0}


def _norm(given: Mapping[str, Any], into: list[Array]) -> tuple[list[Array], list[Array]]:
    norm = np.sqrt(sum(np.sum(g * g) for g in given["grads"]))
    factor = min(1.0, given["max_norm"] / norm)
    return [*(g * factor for g in given["grads"])], []


def _value_draw(sizes: Sizes, rng: np.random.Generator) -> dict[str, Any]:
    return {"grads": _norm_draw(sizes, rng)["grads"], "limit": 0.8 if not sizes.get("large") else 1000.0}


def _value(given: Mapping[str, Any], into: list[Array]) -> tuple[list[Array], list[Array]]:
    return [np.clip(g, -given["limit"], given["limit"]) for g in given["grads"]], []


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
            draw=_embedding_draw,
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
            draw=_loss_draw,
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
            draw=_attention_draw,
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
            draw=_norm_draw,
            answer=_norm,
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
            draw=_value_draw,
            answer=_value,
            sizes=_SMALL,
        ),
    )
}


def chosen(gates: str | None = None, truncate: int = 0) -> dict[str, Task]:
    """All tasks, with another order of the gates for the cells it fits, and truncation for the sequences.

    Raises ValueError if `gates` is no order of a cell's gates.
    """
    found = dict(TASKS)
    if gates is not None and sorted(gates) not in (sorted(ORDERS["lstm"]), sorted(ORDERS["gru"])):
        raise ValueError(f"gates must be an order of the letters ifog (LSTM) or rzn (GRU); got {gates!r}")
    if truncate < 0:
        raise ValueError(f"truncate must be a number of steps, at least 1; got {truncate}")
    for name, task in TASKS.items():
        if gates is not None and sorted(gates) == sorted(task.gates):
            task = replace(task, gates=gates)
        if truncate and task.sequence:
            task = replace(task, truncate=truncate)
        found[name] = task
    return found
