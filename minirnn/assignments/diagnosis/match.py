"""Find the known mistakes that give exactly the student's gradients.

Each candidate predicts every gradient on every probe. A mistake is named only if its predictions equal the student's
gradients in all tensors on all probes, to about machine precision. If several mistakes do, the probes can't tell them
apart, and all of them are reported. If none does, two mistakes at once are tried: an operation on finished tensors
after a mistake in their computation, and pairs of mistakes of which one explains some of the tensors, or all tensors on
a probe that hides the other. A mistake is never named because it is the nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from minirnn.assignments.catalogue.mistakes import MISTAKES
from minirnn.assignments.catalogue.passes import Array
from minirnn.assignments.diagnosis.candidates import CandidateMistake, Prediction, candidates
from minirnn.assignments.diagnosis.operations import Operation, allowed, factors, operations
from minirnn.assignments.diagnosis.probe_results import ProbeResult, close, deviation, largest

MOST_PARTNERS = 10  # this many candidates that explain a part of the errors are combined with others, the best first
CLIPPED_SHARE = 0.5  # a gradient is clipped if, for a large upstream, it stays below this share of the right gradient
ISOLATING = ("T = 1", "T = 2", "N = 1, T = 1", "h0 = 0", "prev_c = 0", "f shut", "Wh = 0")  # hide one of two mistakes


@dataclass(frozen=True)
class Explanation:
    """Mistakes that together give the student's gradients.

    operations: the operations on finished tensors: name of the tensor -> text. deviation: the largest difference
    between the predicted and the student's gradients on all probes, relative to the scales of the tensors.
    probes: the number of probes on which the gradients are wrong. note: how the gradients were recognised, if not by
    their exact values.
    """

    ids: tuple[str, ...]
    operations: dict[str, str] = field(default_factory=dict)
    deviation: float = 0.0
    probes: int = 0
    note: str = ""


_RIGHT = CandidateMistake(formula=lambda result: result.right)


def explain(results: Sequence[ProbeResult], without: frozenset[str] = frozenset()) -> list[Explanation]:
    """Return all explanations with the fewest mistakes, in the order of the catalogue; empty if no known mistake fits.

    results: those of the probes on which the functions ran and the outputs are right. without: mistakes to leave out of
    the catalogue.
    """
    wrong = [result for result in results if not result.all_right]
    if not wrong:
        return []
    return _Search(wrong[0], results, without).explanations()


class _Search:
    """The search for the mistakes behind the wrong gradients.

    main: the first result with wrong gradients. results: all results. predictions: the candidates that predict wrong
    gradients for `main`, with these predictions.
    """

    def __init__(self, main: ProbeResult, results: Sequence[ProbeResult], without: frozenset[str]) -> None:
        self.main, self.results, self.without = main, results, without
        self.operations = list(operations(main, without))
        steps = main.sizes.get("T", 1) if main.task.sequence else 1
        pool = ((candidate, candidate.predict(main)) for candidate in candidates(main.task, steps, without))
        self.predictions = [(c, p) for c, p in pool if p is not None and not _equal(main.right, p, main)]

    def explanations(self) -> list[Explanation]:
        """Return the explanations by one mistake if there are any, otherwise those by two."""
        fitting = [c for c, prediction in self.predictions if _equal(self.main.seen, prediction, self.main)]
        found = [e for candidate in fitting for e in self._verified(candidate)]
        found += self._with_operations(_RIGHT, self.main.right, 1)
        if not found and "clipped" not in self.without:
            found = _clipped(self.results)
        return _unique(found or self._doubles())

    def _verified(
        self, candidate: CandidateMistake, done: Mapping[str, Operation] | None = None
    ) -> Iterator[Explanation]:
        """Yield the explanation if it holds on every probe. `done` maps tensors to the operations on them."""
        done = done or {}
        worst = 0.0
        for result in self.results:
            prediction = candidate.predict(result)
            if prediction is None:
                return
            for k, (name, seen, p) in enumerate(zip(result.names, result.seen, prediction, strict=True)):
                if name in done:
                    if not (done[name].fits(result, k, p) or _vanishes(seen, p)):
                        return
                elif not _fits(seen, p, result, k):
                    return
                else:
                    worst = max(worst, deviation(seen, p, result.scale(k, p)))
        ids = tuple(dict.fromkeys([*candidate.ids, *(operation.id for operation in done.values())]))
        texts = {name: operation.text for name, operation in done.items()}
        yield Explanation(ids, texts, worst, sum(not result.all_right for result in self.results))

    def _with_operations(self, candidate: CandidateMistake, prediction: Prediction, most: int) -> Iterator[Explanation]:
        """Yield explanations by a candidate and by operations, of at most `most` mistakes, on the other tensors."""
        choices: dict[str, list[Operation]] = {}
        for k, (name, seen, p) in enumerate(zip(self.main.names, self.main.seen, prediction, strict=True)):
            if not _fits(seen, p, self.main, k):
                choices[name] = [o for o in self.operations if allowed(o, name) and o.fits(self.main, k, p)]
                if not choices[name]:
                    return
        for chosen in _assignments(choices, most):
            yield from self._verified(candidate, chosen)

    def _doubles(self) -> list[Explanation]:
        """Return the explanations by two mistakes at once."""
        main, last = self.main, len(self.main.names) - 1
        found = list(self._with_operations(_RIGHT, main.right, 2))
        gains = [(candidate, self._gain(candidate, prediction)) for candidate, prediction in self.predictions]
        for (candidate, prediction), (_, gain) in zip(self.predictions, gains, strict=True):
            for factor in factors(self.without):
                if factor.fits(main, last, prediction[last]):
                    found += self._verified(candidate, dict.fromkeys(main.names, factor))
            if gain > 0:
                found += self._with_operations(candidate, prediction, 1)
        if found or not main.task.cell:
            return found
        wrong = [result for result in self.results if not result.all_right]
        cheapest = next((result for result in wrong if result.probe.name == "T = 2"), wrong[0])
        partners = sorted((pair for pair in gains if pair[1] > 0), key=lambda pair: -pair[1])[:MOST_PARTNERS]
        for candidate, _ in partners:
            for other, _ in self.predictions:
                both = candidate.with_other(other) if other.common and other.ids != candidate.ids else None
                if both is not None and _equal(cheapest.seen, both.predict(cheapest), cheapest):
                    found += self._verified(both)
        return found

    def _gain(self, candidate: CandidateMistake, prediction: Prediction) -> float:
        """Return how much a candidate explains: the share of wrong entries in `main`, and 10 for each whole probe."""
        main, gain = self.main, 0.0
        for k, (seen, p, right) in enumerate(zip(main.seen, prediction, main.right, strict=True)):
            if seen is not None and seen.shape == right.shape == p.shape:
                limit = main.precision.match * main.scale(k, p)
                gain += float(np.mean((np.abs(seen - p) <= limit) & (np.abs(seen - right) > limit)))
        isolating = [result for result in self.results if result.probe.name in ISOLATING and not result.all_right]
        return gain + 10.0 * sum(_equal(result.seen, candidate.predict(result), result) for result in isolating)


def _fits(seen: Array | None, predicted: Array, result: ProbeResult, k: int) -> bool:
    return close(seen, predicted, result.scale(k, predicted), result.precision.match)


def _equal(seen: Sequence[Array | None], prediction: Prediction | None, result: ProbeResult) -> bool:
    """Return whether all gradients are as predicted."""
    return prediction is not None and all(
        _fits(s, p, result, k) for k, (s, p) in enumerate(zip(seen, prediction, strict=True))
    )


def _vanishes(seen: Array | None, expected: Array) -> bool:
    return seen is not None and not np.any(seen) and not np.any(expected)


def _assignments(choices: Mapping[str, list[Operation]], most: int) -> Iterator[dict[str, Operation]]:
    """Yield one operation for each tensor, of at most `most` different mistakes, the fewest first."""
    ids = dict.fromkeys(operation.id for some in choices.values() for operation in some)
    for size in range(1, most + 1):
        for group in combinations(ids, size):
            fitting = {name: [o for o in some if o.id in group] for name, some in choices.items()}
            chosen = {name: some[0] for name, some in fitting.items() if some}
            if len(chosen) == len(choices) and {o.id for o in chosen.values()} == set(group):
                yield chosen


def _unique(found: Iterable[Explanation]) -> list[Explanation]:
    """Return the smallest sets of mistakes, each of them once, in the order of the catalogue."""
    best: dict[frozenset[str], Explanation] = {}
    for one in found:
        best.setdefault(frozenset(one.ids), one)
    least = min(map(len, best), default=0)
    order = list(MISTAKES)
    kept = [one for key, one in best.items() if len(key) == least]
    return sorted(kept, key=lambda one: [order.index(id) for id in one.ids])


# ---- clipping ------------------------------------------------------------------------------------------------------


def _norm(parts: Sequence[Array]) -> float:
    return float(np.sqrt(sum(float(np.sum(part**2)) for part in parts)))


def _rescaled(parts: Sequence[Array], limit: float) -> list[Array]:
    factor = min(1.0, limit / max(_norm(parts), 1e-300))
    return [factor * part for part in parts]


@dataclass(frozen=True)
class _Clipping:
    """A kind of clipping: `size` measures gradients, and `clip` reduces them until their size is at most a limit."""

    text: str
    size: Callable[[Sequence[Array]], float]
    clip: Callable[[Sequence[Array], float], list[Array]]

    def limit(self, result: ProbeResult, cut: Sequence[int]) -> float:
        """Return the limit that explains the gradients `cut` of a result; nan if none does."""
        limit = self.size([result.seen[k] for k in cut])
        clipped = dict(zip(cut, self.clip([result.right[k] for k in cut], limit), strict=True))
        prediction = [clipped.get(k, right) for k, right in enumerate(result.right)]
        return limit if _equal(result.seen, prediction, result) else np.nan


_CLIPPINGS = (
    _Clipping("value", lambda parts: max(map(largest, parts)), lambda parts, m: [np.clip(p, -m, m) for p in parts]),
    _Clipping(
        "norm",
        lambda parts: max(_norm([part]) for part in parts),
        lambda parts, limit: [part for one in parts for part in _rescaled([one], limit)],
    ),
    _Clipping("the norm of all gradients together", _norm, _rescaled),
)


def _clipped(results: Sequence[ProbeResult]) -> list[Explanation]:
    """Explain gradients that are right for a small upstream gradient and too small for a large one."""
    named = {result.probe.name: result for result in results}
    small, large = named.get("upstream x 1e-3"), named.get("upstream x 1e3")
    if small is None or large is None or not small.all_right or large.all_right:
        return []
    if any(
        s is None or s.shape != r.shape for result in results for s, r in zip(result.seen, result.right, strict=True)
    ):
        return []
    clipped = [large, *(result for result in results if result is not large and not result.all_right)]
    cut = [k for k in range(len(large.seen)) if large.wrong(k)]
    for clipping in _CLIPPINGS:
        limits = [clipping.limit(result, cut) for result in clipped]
        if np.ptp(limits) <= 1e-6 * limits[0]:
            return [
                Explanation(("clipped",), probes=len(clipped), note=f"clipped by {clipping.text} at {limits[0]:.6g}")
            ]
    if any(largest(large.seen[k]) >= CLIPPED_SHARE * largest(large.right[k]) for k in cut):
        return []
    note = "exact for a small upstream gradient, and too small for a large one"
    return [Explanation(("clipped",), probes=len(clipped), note=note)]
