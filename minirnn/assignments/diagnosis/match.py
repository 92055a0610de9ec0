"""Which known mistake gives exactly these numbers?

Each candidate predicts every tensor on every probe. A mistake is named only if what it predicts equals what the
student's functions returned on all tensors of all probes to about machine precision; where several do, they are
the same function as far as the probes go, and all are given. If none does, two at once are tried: an operation on
finished tensors after a mistake in the making of them, and pairs of mistakes, one of which explains some of the numbers
(or all of them on a probe where the other vanishes). Nothing is ever named for being the nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from minirnn.assignments.catalogue.mistakes import MISTAKES
from minirnn.assignments.catalogue.passes import Array
from minirnn.assignments.diagnosis.candidates import Candidate, candidates
from minirnn.assignments.diagnosis.cases import Case, close, deviation
from minirnn.assignments.diagnosis.operations import Operation, allowed, factors, operations

PARTNERS = 10  # mistakes that explain a part are tried with all others; at most so many, those that explain most first
WIDE = 0.5  # clipped: this share of linear growth isn't reached


@dataclass(frozen=True)
class Explanation:
    """Mistakes that together give the student's numbers.

    `operations` are what was done to finished tensors, by name. `deviation` is the largest difference on all probes,
    relative to the tensors' scales; `probes` counts those on which the gradients are wrong and were met all the same.
    """

    ids: tuple[str, ...]
    setting: tuple[tuple[str, object], ...] = ()
    operations: dict[str, str] = field(default_factory=dict)
    deviation: float = 0.0
    probes: int = 0
    note: str = ""


Prediction = list[Array]


def explain(cases: Sequence[Case], without: frozenset[str] = frozenset()) -> list[Explanation]:
    """All explanations of the fewest mistakes, in the catalogue's order; empty if nothing known fits.

    cases: those that ran and gave well-formed numbers. `without`: mistakes to leave out of the catalogue.
    """
    wrong = [case for case in cases if not case.all_right]
    if not wrong:
        return []
    main = wrong[0]
    pool = list(candidates(main.task, main.sizes.get("T", 1) if main.task.sequence else 1, without))
    scored = [_Scored(candidate, candidate.predict(main)) for candidate in pool]
    scored = [one for one in scored if one.prediction is not None and not _same(one.prediction, main.right, main)]
    finished = list(operations(main, without))
    found = [*_singles(scored, main, cases), *_finished(main, cases, finished, 1)]
    if not found and "clipped" not in without:
        found = _clipped(cases)
    return _unique(found or _doubles(scored, main, cases, finished, without))


@dataclass
class _Scored:
    candidate: Candidate
    prediction: Prediction | None


def _singles(scored: list[_Scored], main: Case, cases: Sequence[Case]) -> Iterator[Explanation]:
    for one in scored:
        if _meets(one.prediction, main):
            verified = _verified((one.candidate.id,), one.candidate.predict, cases, one.candidate.setting)
            if verified:
                yield verified


def _meets(prediction: Prediction | None, case: Case) -> bool:
    """Whether all tensors are as predicted."""
    return prediction is not None and all(
        close(s, p, _scale(case, k, p), case.precision.match)
        for k, (s, p) in enumerate(zip(case.seen, prediction, strict=True))
    )


def _scale(case: Case, k: int, prediction: Array) -> float:
    """A wrong prediction may be larger than the right gradient; its rounding errors are too."""
    return max(case.scale(k), float(np.max(np.abs(prediction), initial=0.0)))


def _same(prediction: Prediction, right: Prediction, case: Case) -> bool:
    return all(
        close(p, r, case.scale(k), case.precision.match) for k, (p, r) in enumerate(zip(prediction, right, strict=True))
    )


def _verified(
    ids: tuple[str, ...],
    predict: Callable[[Case], Prediction | None],
    cases: Sequence[Case],
    setting: tuple[tuple[str, object], ...] = (),
    done: dict[str, Operation] | None = None,
) -> Explanation | None:
    """The explanation, if it holds on every probe."""
    done = done or {}
    worst, probes = 0.0, 0
    for case in cases:
        prediction = predict(case)
        if prediction is None:
            return None
        for k, (name, seen, p) in enumerate(zip(case.names, case.seen, prediction, strict=True)):
            scale = _scale(case, k, p)
            if name in done:
                if not (done[name].fits(seen, p, case, k, scale) or _vanishes(seen, p)):
                    return None
            elif not close(seen, p, scale, case.precision.match):
                return None
            else:
                worst = max(worst, deviation(seen, p, scale))
        probes += not case.all_right
    texts = {name: operation.text for name, operation in done.items()}
    return Explanation(ids, setting, texts, worst, probes)


def _vanishes(seen: Array | None, expected: Array) -> bool:
    return seen is not None and not np.any(seen) and not np.any(expected)


def _right(case: Case) -> Prediction:
    return case.right


# ---- operations on finished tensors ---------------------------------------------------------------------------------


def _finished(main: Case, cases: Sequence[Case], finished: list[Operation], most: int) -> Iterator[Explanation]:
    """Explanations of the right answer by operations of at most `most` mistakes."""
    yield from _with_operations((), _right, (), main.right, main, cases, finished, most)


def _with_operations(
    ids: tuple[str, ...],
    predict: Callable[[Case], Prediction | None],
    setting: tuple[tuple[str, object], ...],
    prediction: Prediction,
    main: Case,
    cases: Sequence[Case],
    finished: list[Operation],
    most: int,
) -> Iterator[Explanation]:
    """What a prediction leaves over, explained by operations."""
    choices: dict[str, list[Operation]] = {}
    for k, (name, seen, p) in enumerate(zip(main.names, main.seen, prediction, strict=True)):
        scale = _scale(main, k, p)
        if close(seen, p, scale, main.precision.match):
            continue
        choices[name] = [o for o in finished if allowed(o, name) and o.fits(seen, p, main, k, scale)]
        if not choices[name]:
            return
    if not choices:
        return
    for some in _assignments(choices, most):
        verified = _verified(
            tuple(dict.fromkeys([*ids, *(o.id for o in some.values())])), predict, cases, setting, some
        )
        if verified:
            yield verified


def _assignments(choices: dict[str, list[Operation]], most: int) -> Iterator[dict[str, Operation]]:
    """One operation for each tensor, of at most `most` different mistakes, fewest first."""
    ids = list(dict.fromkeys(o.id for some in choices.values() for o in some))
    groups: list[tuple[str, ...]] = [(a,) for a in ids]
    if most > 1:
        groups += [(a, b) for n, a in enumerate(ids) for b in ids[n + 1 :]]
    for group in groups:
        picked = {name: next((o for o in some if o.id in group), None) for name, some in choices.items()}
        chosen = {name: o for name, o in picked.items() if o is not None}
        if len(chosen) == len(choices) and {o.id for o in chosen.values()} == set(group):
            yield chosen


# ---- clipping ------------------------------------------------------------------------------------------------------


def _clipped(cases: Sequence[Case]) -> list[Explanation]:
    """The gradient is right for a small upstream and stays behind for a large one."""
    named = {case.probe.name: case for case in cases}
    small, large = named.get("upstream x 1e-3"), named.get("upstream x 1e3")
    if small is None or large is None or not small.all_right or large.all_right:
        return []
    if any(s is None or s.shape != r.shape for case in cases for s, r in zip(case.seen, case.right, strict=True)):
        return []
    rest = [case for case in cases if case is not large and not case.all_right]
    cut = [k for k in range(len(large.seen)) if large.wrong(k)]
    for text, fits in (("value", _by_value), ("norm", _by_norm), ("all norms together", _by_total)):
        limits = [fits(case, cut) for case in (large, *rest)]
        if None not in limits and np.ptp(np.array(limits, float)) <= 1e-6 * float(limits[0] or 0):
            note = f"clipped by {text} at {float(limits[0] or 0):.6g}"
            return [Explanation(("clipped",), probes=1 + len(rest), note=note)]
    behind = all(np.max(np.abs(large.seen[k])) < WIDE * np.max(np.abs(large.right[k])) for k in cut)
    note = "exact for a small upstream, and it doesn't grow with a large one"
    return [Explanation(("clipped",), probes=1 + len(rest), note=note)] if behind else []


def _clips(case: Case, cut: list[int], change: Callable[[Array], Array]) -> bool:
    return _meets([change(r) if k in cut else r for k, r in enumerate(case.right)], case)


def _by_value(case: Case, cut: list[int]) -> float | None:
    limit = max(float(np.max(np.abs(case.seen[k]), initial=0.0)) for k in cut)
    return limit if _clips(case, cut, lambda r: np.clip(r, -limit, limit)) else None


def _by_norm(case: Case, cut: list[int]) -> float | None:
    """Each tensor scaled to the same norm, if its own is larger."""
    limit = max(float(np.linalg.norm(case.seen[k])) for k in cut)
    fits = _clips(case, cut, lambda r: r * min(1.0, limit / max(float(np.linalg.norm(r)), 1e-300)))
    return limit if fits else None


def _by_total(case: Case, cut: list[int]) -> float | None:
    limit = float(np.sqrt(sum(float(np.sum(case.seen[k] ** 2)) for k in cut)))
    total = float(np.sqrt(sum(float(np.sum(case.right[k] ** 2)) for k in cut)))
    return limit if _clips(case, cut, lambda r: r * min(1.0, limit / total)) else None


# ---- two at once ---------------------------------------------------------------------------------------------------


def _doubles(
    scored: list[_Scored],
    main: Case,
    cases: Sequence[Case],
    finished: list[Operation],
    without: frozenset[str],
) -> list[Explanation]:
    found = list(_finished(main, cases, finished, 2))
    everywhere = factors(without)
    gains = {n: gain for n, one in enumerate(scored) if (gain := _gain(one, main, cases)) > 0}
    for n, one in enumerate(scored):
        assert one.prediction is not None
        for operation in _everywhere(one.prediction, main, everywhere):
            both = (one.candidate.id, operation.id)
            done = dict.fromkeys(main.names, operation)
            verified = _verified(both, one.candidate.predict, cases, one.candidate.setting, done)
            found += [verified] if verified else []
        if n in gains:
            ids = (one.candidate.id,)
            args = (one.candidate.predict, one.candidate.setting, one.prediction)
            found += _with_operations(ids, *args, main, cases, finished, 1)
    if found or not main.task.cell:
        return found
    partners = sorted(gains, key=lambda n: -gains[n])[:PARTNERS]
    common = [one.candidate for one in scored if one.candidate.common]
    first = _cheapest(cases)
    for n in partners:
        for other in common:
            both_at_once = scored[n].candidate.with_other(other)
            if both_at_once is None or other.id == scored[n].candidate.id:
                continue
            if _meets(both_at_once.predict(first), first):
                pair = (scored[n].candidate.id, other.id)
                verified = _verified(pair, both_at_once.predict, cases, both_at_once.setting)
                found += [verified] if verified else []
    return found


def _everywhere(prediction: Prediction, main: Case, everywhere: list[Operation]) -> Iterator[Operation]:
    """Factors that, on every tensor, turn the prediction into what was seen."""
    seen, p = main.seen[-1], prediction[-1]
    if seen is None or seen.shape != p.shape:
        return
    for operation in everywhere:
        if operation.fits(seen, p, main, len(prediction) - 1, _scale(main, len(prediction) - 1, p)):
            yield operation


def _cheapest(cases: Sequence[Case]) -> Case:
    """The smallest problem on which the gradients are wrong and time matters."""
    wrong = [case for case in cases if not case.all_right]
    short = [case for case in wrong if case.probe.name == "T = 2"]
    return (short or wrong)[0]


def _gain(one: _Scored, main: Case, cases: Sequence[Case]) -> float:
    """How much of what is wrong a candidate explains: entries on the main probe, and probes that it explains whole."""
    assert one.prediction is not None
    gain = 0.0
    for k, (seen, p) in enumerate(zip(main.seen, one.prediction, strict=True)):
        if seen is None or seen.shape != main.right[k].shape or p.shape != seen.shape:
            continue
        scale, limit = _scale(main, k, p), main.precision.match
        gain += float(np.mean((np.abs(seen - p) <= limit * scale) & (np.abs(seen - main.right[k]) > limit * scale)))
    for case in cases:
        if case.probe.name in ("T = 1", "T = 2", "N = 1, T = 1", "h0 = 0", "prev_c = 0", "f shut", "Wh = 0"):
            if case.all_right:
                continue
            gain += 10.0 * _meets(one.candidate.predict(case), case)
    return gain


def _unique(found: Iterable[Explanation]) -> list[Explanation]:
    """Each set of mistakes once, fewest first, then in the catalogue's order."""
    best: dict[frozenset[str], Explanation] = {}
    for one in found:
        best.setdefault(frozenset(one.ids), one)
    least = min((len(key) for key in best), default=0)
    order = list(MISTAKES)
    kept = [one for key, one in best.items() if len(key) == least]
    return sorted(kept, key=lambda one: [order.index(id) for id in one.ids])
