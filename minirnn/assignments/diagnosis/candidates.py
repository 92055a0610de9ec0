"""The predictions of the known mistakes: the gradients that a student with each mistake would get.

A candidate computes its prediction for every probe. For the recurrent layers, the prediction comes from the switches
of `passes.py`; the few candidates for embedding, loss and attention are defined in this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from minirnn.assignments.catalogue import tasks
from minirnn.assignments.catalogue.mistakes import MISTAKES
from minirnn.assignments.catalogue.passes import Array
from minirnn.assignments.catalogue.tasks import Task
from minirnn.assignments.catalogue.variants import Setting, variants
from minirnn.assignments.diagnosis.probe_results import ProbeResult

Prediction = list[Array]
Formula = Callable[[ProbeResult], Prediction]


@dataclass(frozen=True)
class CandidateMistake:
    """A mistake in one variant, or several at once.

    ids: the mistakes. setting: their switches in the backward passes of the recurrent layers. formula: computes the
    prediction instead, for the other tasks.
    """

    ids: tuple[str, ...] = ()
    setting: Setting = field(default_factory=dict)
    formula: Formula | None = None

    @property
    def common(self) -> bool:
        """Whether people often make this variant: in one place or in all, without a rotation of three gates."""
        return len(self.setting.get("order", {})) != 3 and len(self.setting) != 3

    def predict(self, result: ProbeResult) -> Prediction | None:
        """Return the gradients with this mistake, or None if it is impossible with the shapes of this probe."""
        if self.formula is not None:
            return self.formula(result)
        try:
            return tasks.predict(result.task, result.trace, result.into, self.setting)
        except ValueError:
            return None

    def with_other(self, other: CandidateMistake) -> CandidateMistake | None:
        """Return the candidate with both mistakes, or None if they need the same switch."""
        if self.formula or other.formula or set(self.setting) & set(other.setting):
            return None
        return CandidateMistake((*self.ids, *other.ids), {**self.setting, **other.setting})


def candidates(task: Task, T: int, without: frozenset[str] = frozenset()) -> Iterator[CandidateMistake]:
    """Yield all candidates for a task with T time steps, except the mistakes in `without`."""
    for id in MISTAKES:
        if id not in without and task.cell:
            yield from (CandidateMistake((id,), setting) for setting in variants(id, task.cell, task.gates, T))
        elif id not in without:
            yield from (
                CandidateMistake((id,), {}, formula) for name, formula in _FORMULAS.get(task.name, ()) if name == id
            )


# ---- embedding, loss, attention ------------------------------------------------------------------------------------


def _last_token(result: ProbeResult) -> Prediction:
    dW = np.zeros_like(result.given["W"])
    dW[result.given["x"]] = result.into[0]
    return [dW]


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _through_softmax(p: Array, d: Array) -> Array:
    """Multiply a gradient by the Jacobian of the softmax."""
    return np.asarray(p * (d - np.sum(p * d, axis=-1, keepdims=True)))


def _loss(scores_gradient: Callable[[Array, Array, Array], Array]) -> Formula:
    """`scores_gradient(p, chosen, mask)` is N times the gradient into the scores."""

    def formula(result: ProbeResult) -> Prediction:
        x, y, mask = (result.given[name] for name in ("x", "y", "mask"))
        return [scores_gradient(_softmax(x), np.eye(x.shape[-1])[y], mask[..., None]) / len(x)]

    return formula


def _attention(scores_gradient: Callable[[Array, Array], Array], scaled: bool = True) -> Formula:
    """`scores_gradient(a, da)` is the gradient into the scores after the division by sqrt(D)."""

    def formula(result: ProbeResult) -> Prediction:
        q, k, v, mask = (result.given[name] for name in ("query", "keys", "values", "mask"))
        root = np.sqrt(q.shape[1])
        a = _softmax(np.where(mask, np.einsum("nd,ntd->nt", q, k) / root, -np.inf))
        ds = scores_gradient(a, np.einsum("ne,nte->nt", result.into[0], v)) / (root if scaled else 1)
        return [np.einsum("nt,ntd->nd", ds, k), ds[..., None] * q[:, None], a[..., None] * result.into[0][:, None]]

    return formula


_FORMULAS: dict[str, tuple[tuple[str, Formula], ...]] = {
    "word_embedding": (("embedding-scatter", _last_token),),
    "temporal_softmax_loss": (
        ("softmax-jacobian", _loss(lambda p, y, m: m * p)),
        ("softmax-jacobian", _loss(lambda p, y, m: m * (p - y) * p * (1 - p))),
        ("softmax-jacobian", _loss(lambda p, y, m: m * _through_softmax(p, p - y))),
        ("softmax-jacobian", _loss(lambda p, y, m: -1.0 * m * y / p)),
        ("softmax-jacobian", _loss(lambda p, y, m: -1.0 * m * y * (1 - p))),
        ("padding", _loss(lambda p, y, m: p - y)),
        ("padding", _loss(lambda p, y, m: p - m * y)),
    ),
    "attention": (
        ("softmax-jacobian", _attention(lambda a, da: da)),
        ("softmax-jacobian", _attention(lambda a, da: a * da)),
        ("softmax-jacobian", _attention(lambda a, da: a * (1 - a) * da)),
        ("softmax-jacobian", _attention(lambda a, da: _through_softmax(a, _through_softmax(a, da)))),
        ("scores-unscaled", _attention(_through_softmax, scaled=False)),
    ),
}
