"""The probes: small problems, each of which makes some mistakes vanish and leaves others as they are.

What common choices hide is the point of each: one step hides every carry, a batch of one hides a missing sum over
the batch, zero states hide what is multiplied by them. Where a wrong gradient turns exact says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minirnn.assignments.catalogue.tasks import Array, Task, arguments, upstreams

Change = Callable[[Task, dict[str, Any], list[Array]], None]


@dataclass(frozen=True)
class Probe:
    """A problem: other sizes, a change of arguments and upstream, a factor. `when` completes "exact ..."."""

    name: str
    when: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    change: Change | None = None
    factor: float = 1.0  # on the upstream
    quick: bool = True


def problem(task: Task, probe: Probe, seed: int, sizes: dict[str, int]) -> tuple[dict[str, Any], list[Array]]:
    """The probe's arguments and upstream gradients. `sizes` override the task's own; the probe's override both."""
    full = {**dict(task.sizes), **sizes, **probe.sizes}
    for name, other in (("D", "H"),):
        if probe.name == "D = H":
            full[name] = full[other]
    rng = np.random.default_rng([seed, 7])
    given = arguments(task, full, rng)
    into = upstreams(task, full, rng)
    if probe.change is not None:
        probe.change(task, given, into)
    return given, [probe.factor * u for u in into]


def _only_steps(steps: slice) -> Change:
    def change(task: Task, given: dict[str, Any], into: list[Array]) -> None:
        kept = np.zeros_like(into[0])
        kept[:, steps] = into[0][:, steps]
        into[0] = kept

    return change


def _gate(letter: str, value: float) -> Change:
    """A gate shut (-40) or open (40) by its bias."""

    def change(task: Task, given: dict[str, Any], into: list[Array]) -> None:
        name = next(name for name in task.shapes if name.startswith("b"))
        H = given["Wh"].shape[0]
        k = task.gates.index(letter)
        given[name][k * H : (k + 1) * H] = value

    return change


def _zero(*names: str) -> Change:
    def change(task: Task, given: dict[str, Any], into: list[Array]) -> None:
        for name in names:
            given[name] = np.zeros_like(given[name])

    return change


def _zero_upstream(k: int) -> Change:
    def change(task: Task, given: dict[str, Any], into: list[Array]) -> None:
        into[k] = np.zeros_like(into[k])

    return change


def _small(task: Task, given: dict[str, Any], into: list[Array]) -> None:
    for name in task.shapes:
        given[name] = given[name] * 1e-3


def _symmetric(task: Task, given: dict[str, Any], into: list[Array]) -> None:
    W = given["Wh"]
    H = W.shape[0]
    for k in range(0, W.shape[1], H):
        W[:, k : k + H] = (W[:, k : k + H] + W[:, k : k + H].T) / 2


LINEAR = (
    Probe("upstream x 1e-3", "for upstream × 1e-3", factor=1e-3),
    Probe("upstream x 1e3", "for upstream × 1e3", factor=1e3),
)


def probes(task: Task, quick: bool = False) -> list[Probe]:
    """The task's probes, the base problem first."""
    if task.backward is None and not task.combined:
        return [Probe("base"), Probe("large", "where nothing has to be clipped", {"large": 1})]
    found = [Probe("base"), *_recurrent(task)] if task.cell else [Probe("base"), *_others(task)]
    if not task.combined:
        found += LINEAR
    return [probe for probe in found if probe.quick or not quick]


def _others(task: Task) -> list[Probe]:
    one = Probe("N = 1", "for a batch of one", {"N": 1})
    own = {
        "word_embedding": Probe("unique tokens", "when no token occurs twice", {"V": 11, "unique": 1}),
        "temporal_softmax_loss": Probe("no padding", "when the mask is all ones", {"full": 1}),
        "attention": Probe("no padding", "when the mask is all ones", {"full": 1}),
    }
    return [one, Probe("T = 1", "for T = 1", {"T": 1}), own[task.name]]


def _recurrent(task: Task) -> list[Probe]:
    found = [
        Probe("N = 1", "for a batch of one", {"N": 1}),
        Probe("D = H", "when D = H"),
        Probe("Wh = 0", "when Wh is 0", change=_zero("Wh")),
        Probe("Wh symmetric", "when the blocks of Wh are symmetric", change=_symmetric),
        Probe("small", "in the limit of small signals", change=_small, quick=False),
    ]
    if task.cell == "lstm":
        found.append(Probe("f shut", "when the forget gate is shut", change=_gate("f", -40.0)))
        found.append(Probe("f open", "when the forget gate is open", change=_gate("f", 40.0), quick=False))
    if task.cell == "gru":
        found.append(Probe("z shut", "when nothing of the old state is kept (z = 0)", change=_gate("z", -40.0)))
        found.append(Probe("r open", "when r is 1", change=_gate("r", 40.0), quick=False))
    return found + (_sequence() if task.sequence else _step(task))


def _sequence() -> list[Probe]:
    return [
        Probe("T = 1", "for T = 1", {"T": 1}),
        Probe("T = 2", "for T = 2", {"T": 2}),
        Probe("N = 1, T = 1", "for one sample and one step", {"N": 1, "T": 1}),
        Probe("h0 = 0", "when h0 is 0", change=_zero("h0")),
        Probe("loss at the last step", "when the loss is at the last step only", change=_only_steps(slice(-1, None))),
        Probe("loss before it", "when the last step has no loss", change=_only_steps(slice(0, -1))),
        Probe("long", "for T = 11", {"T": 11}),
    ]


def _step(task: Task) -> list[Probe]:
    found = [Probe("prev_h = 0", "when prev_h is 0", change=_zero("prev_h"))]
    if task.cell == "lstm":
        found.append(Probe("prev_c = 0", "when prev_c is 0", change=_zero("prev_c")))
        found.append(Probe("dnext_c = 0", "when dnext_c is 0", change=_zero_upstream(1)))
        found.append(Probe("dnext_h = 0", "when dnext_h is 0", change=_zero_upstream(0)))
    return found
