"""What each known mistake predicts: candidates for one task, each with the gradients that a student would get.

A candidate is a function of the problem, evaluated on every probe. The recurrent layers' come from the switches of
`passes.py`; embedding, loss and attention have their few here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.assignments.catalogue import tasks
from minirnn.assignments.catalogue.mistakes import MISTAKES
from minirnn.assignments.catalogue.passes import Array
from minirnn.assignments.catalogue.tasks import Task
from minirnn.assignments.catalogue.variants import Setting, variants
from minirnn.assignments.diagnosis.cases import Case


@dataclass(frozen=True)
class Candidate:
    """A mistake in one variant. `common`: made often enough to be tried in pairs."""

    id: str
    setting: tuple[tuple[str, Any], ...]
    formula: Callable[[Case], list[Array]] | None = None

    @property
    def common(self) -> bool:
        """Whether it is a plain variant: one place or all, no rotation of three gates."""
        values = dict(self.setting)
        order = values.get("order", {})
        return len(order) != 3 and len(values) != 3

    def predict(self, case: Case) -> list[Array] | None:
        """The gradients with this mistake; None where it can't be made (a product of unfitting shapes)."""
        if self.formula is not None:
            return self.formula(case)
        assert case.trace is not None
        try:
            return tasks.predict(case.task, case.trace, case.into, dict(self.setting))
        except ValueError:
            return None

    def with_other(self, other: Candidate) -> Candidate | None:
        """Both mistakes at once; None if they need the same switch."""
        mine, theirs = dict(self.setting), dict(other.setting)
        if self.formula or other.formula or set(mine) & set(theirs):
            return None
        return Candidate(f"{self.id}+{other.id}", tuple({**mine, **theirs}.items()))


def candidates(task: Task, T: int, without: frozenset[str] = frozenset()) -> Iterator[Candidate]:
    """All candidates for a task whose sequences are T long, without some mistakes."""
    for id in MISTAKES:
        if id in without:
            continue
        if task.cell:
            for setting in variants(id, task.cell, task.gates, T):
                yield Candidate(id, _hashable(setting))
        else:
            for name, formula in _FORMULAS.get(task.name, ()):
                if name == id:
                    yield Candidate(id, (), formula)


def _hashable(setting: Setting) -> tuple[tuple[str, Any], ...]:
    return tuple(setting.items())


# ---- embedding, loss, attention ------------------------------------------------------------------------------------


def _last_token(case: Case) -> list[Array]:
    dW = np.zeros_like(case.given["W"])
    dW[case.given["x"]] = case.into[0]
    return [dW]


def _probabilities(case: Case) -> tuple[Array, Array, Array, int]:
    x, y = case.given["x"], case.given["y"]
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True), np.eye(x.shape[-1])[y], case.given["mask"][..., None], len(x)


def _loss(change: Callable[[Array, Array, Array], Array]) -> Callable[[Case], list[Array]]:
    def formula(case: Case) -> list[Array]:
        p, chosen, mask, N = _probabilities(case)
        return [change(p, chosen, mask) / N]

    return formula


def _through_softmax(p: Array, d: Array) -> Array:
    return np.asarray(p * (d - np.sum(p * d, axis=-1, keepdims=True)))


def _attention(change: Callable[[Array, Array], Array], root: bool = True) -> Callable[[Case], list[Array]]:
    """`change(a, da)` -> the gradient into the scores."""

    def formula(case: Case) -> list[Array]:
        q, k, v, mask = (case.given[name] for name in ("query", "keys", "values", "mask"))
        size = np.sqrt(q.shape[1])
        scores = np.where(mask, np.einsum("nd,ntd->nt", q, k) / size, -np.inf)
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        a = e / e.sum(axis=1, keepdims=True)
        ds = change(a, np.einsum("ne,nte->nt", case.into[0], v)) / (size if root else 1)
        return [np.einsum("nt,ntd->nd", ds, k), ds[..., None] * q[:, None], a[..., None] * case.into[0][:, None]]

    return formula


_FORMULAS: dict[str, tuple[tuple[str, Callable[[Case], list[Array]]], ...]] = {
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
        ("scores-unscaled", _attention(_through_softmax, root=False)),
    ),
}
