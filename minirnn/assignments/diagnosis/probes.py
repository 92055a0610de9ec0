"""The probes: small problems, each of which hides some mistakes and leaves the others visible.

Each probe makes a choice that is known to hide certain mistakes: a single step hides every carry, a batch of one hides
a missing sum over the batch, and zero states hide the terms that are multiplied by the states. The probes on which a
wrong gradient becomes exact therefore say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from minirnn.assignments.catalogue.tasks import Array, Task, arguments, upstreams


@dataclass(frozen=True)
class Probe:
    """A problem that differs from the base problem in one respect.

    when: the text that completes "the gradient is exact ...". sizes: sizes that replace those of the task.
    change: a function that changes the arguments in place. zero: arguments and upstream gradients that are zero.
    without_loss: the steps whose upstream gradient is zero. factor: multiplies the upstream gradient.
    quick: whether the probe is part of a quick check. stream: the random stream, combined with the seed.
    """

    name: str
    when: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    change: Callable[[Task, dict[str, Any]], None] | None = None
    zero: tuple[str, ...] = ()
    without_loss: slice | None = None
    factor: float = 1.0
    quick: bool = True
    stream: int = 7


def problem(task: Task, probe: Probe, seed: int, sizes: Mapping[str, int]) -> tuple[dict[str, Any], list[Array]]:
    """Return the arguments and the upstream gradients of a probe.

    `sizes` take precedence over the sizes of the task, and those of the probe over both.
    """
    full = {**dict(task.sizes), **sizes, **probe.sizes}
    if probe.name == "D = H":
        full["D"] = full["H"]
    rng = np.random.default_rng([seed, probe.stream])
    given = arguments(task, full, rng)
    into = dict(zip(task.outputs, upstreams(task, full, rng), strict=True))
    if probe.change is not None:
        probe.change(task, given)
    if probe.without_loss is not None:
        into["h"][:, probe.without_loss] = 0
    given = {name: np.zeros_like(value) if name in probe.zero else value for name, value in given.items()}
    return given, [(0.0 if f"d{name}" in probe.zero else probe.factor) * u for name, u in into.items()]


def _set_gate(letter: str, value: float, task: Task, given: dict[str, Any]) -> None:
    """Set the bias of a gate: -40 shuts the gate, 40 opens it."""
    bias = next(name for name in task.shapes if name.startswith("b"))
    np.split(given[bias], task.blocks)[task.gates.index(letter)][:] = value


def _shrink_arguments(task: Task, given: dict[str, Any]) -> None:
    for name in task.shapes:
        given[name] = given[name] * 1e-3


def _make_symmetric(task: Task, given: dict[str, Any]) -> None:
    for block in np.split(given["Wh"], task.blocks, axis=1):
        block[:] = (block + block.T) / 2


_LINEAR = (
    Probe("upstream x 1e-3", "for upstream × 1e-3", factor=1e-3),
    Probe("upstream x 1e3", "for upstream × 1e3", factor=1e3),
)
_ONE_SAMPLE = Probe("N = 1", "for a batch of one", {"N": 1})
_ONE_STEP = Probe("T = 1", "for T = 1", {"T": 1})
_WEIGHTS = (
    _ONE_SAMPLE,
    Probe("D = H", "when D = H"),
    Probe("Wh = 0", "when Wh is 0", zero=("Wh",)),
    Probe("Wh symmetric", "when the blocks of Wh are symmetric", change=_make_symmetric),
    Probe("small", "in the limit of small signals", change=_shrink_arguments, quick=False),
)
_LSTM_GATES = (
    Probe("f shut", "when the forget gate is shut", change=partial(_set_gate, "f", -40.0)),
    Probe("f open", "when the forget gate is open", change=partial(_set_gate, "f", 40.0), quick=False),
)
_GRU_GATES = (
    Probe("z shut", "when z is 0, so that no old state is kept", change=partial(_set_gate, "z", -40.0)),
    Probe("r open", "when r is 1", change=partial(_set_gate, "r", 40.0), quick=False),
)
_SEQUENCE = (
    _ONE_STEP,
    Probe("T = 2", "for T = 2", {"T": 2}),
    Probe("N = 1, T = 1", "for one sample and one step", {"N": 1, "T": 1}),
    Probe("h0 = 0", "when h0 is 0", zero=("h0",)),
    Probe("loss at the last step", "when the loss is at the last step only", without_loss=slice(0, -1)),
    Probe("loss before it", "when the last step has no loss", without_loss=slice(-1, None)),
    Probe("long", "for T = 11", {"T": 11}),
)
_STEP = (Probe("prev_h = 0", "when prev_h is 0", zero=("prev_h",)),)
_LSTM_STEP = tuple(Probe(f"{name} = 0", f"when {name} is 0", zero=(name,)) for name in ("prev_c", "dnext_c", "dnext_h"))
_NO_PADDING = Probe("no padding", "when the mask is all ones", {"full": 1})
_UNIQUE_TOKENS = Probe("unique tokens", "when no token occurs twice", {"V": 11, "unique": 1})
_NO_CLIPPING = Probe("large", "when nothing needs clipping", {"large": 1})

_PROBES: dict[str, tuple[Probe, ...]] = {
    "rnn_step": (*_WEIGHTS, *_STEP, *_LINEAR),
    "rnn": (*_WEIGHTS, *_SEQUENCE, *_LINEAR),
    "lstm_step": (*_WEIGHTS, *_LSTM_GATES, *_STEP, *_LSTM_STEP, *_LINEAR),
    "lstm": (*_WEIGHTS, *_LSTM_GATES, *_SEQUENCE, *_LINEAR),
    "gru_step": (*_WEIGHTS, *_GRU_GATES, *_STEP, *_LINEAR),
    "gru": (*_WEIGHTS, *_GRU_GATES, *_SEQUENCE, *_LINEAR),
    "word_embedding": (_ONE_SAMPLE, _ONE_STEP, _UNIQUE_TOKENS, *_LINEAR),
    "temporal_softmax_loss": (_ONE_SAMPLE, _ONE_STEP, _NO_PADDING),  # no upstream gradient
    "attention": (_ONE_SAMPLE, _ONE_STEP, _NO_PADDING, *_LINEAR),
    "clip_grad_norm": (_NO_CLIPPING,),
    "clip_grad_value": (_NO_CLIPPING,),
}


def probes(task: Task, quick: bool = False) -> list[Probe]:
    """Return the probes of a task, the base problem first."""
    return [Probe("base"), *(probe for probe in _PROBES[task.name] if probe.quick or not quick)]
