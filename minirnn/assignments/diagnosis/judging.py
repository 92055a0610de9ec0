"""The verdict on one pair of functions: forward first, then what happens around the numbers, then the numbers.

A right forward is the ground for everything else: a wrong one with the gradient that belongs to it passes any gradient
check. Then the gradients are compared with the reference's on every probe; if they differ, `places` says where,
`match` what the mistake is, and the smallest problem that shows it is looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minirnn.assignments.catalogue.tasks import Task, arguments, upstreams, with_blocks
from minirnn.assignments.diagnosis import forwards
from minirnn.assignments.diagnosis.cases import DOUBLE, SINGLE, Case, compare, take
from minirnn.assignments.diagnosis.match import Explanation, explain
from minirnn.assignments.diagnosis.places import Place, malformation, places
from minirnn.assignments.diagnosis.probes import Probe, probes
from minirnn.assignments.sandbox.observe import Failure, Subject
from minirnn.gradcheck.shrink import shrink

SQUARE = 4  # N = T = D = H where nothing else runs


@dataclass(frozen=True)
class Smallest:
    """The smallest failing problem: sizes, the arguments that are zero, the seed, a factor on the upstream."""

    sizes: dict[str, int]
    zero: tuple[str, ...]
    seed: int
    factor: float = 1.0


@dataclass
class Finding:
    """All that was found about one pair of functions.

    status: "right", "wrong", "broken" (it can't be judged: see `failure`), "unfinished" or "missing".
    stage: what is wrong, "forward", "hygiene" or "gradients"; "" if nothing is.
    problems: sentences, the most important first.
    hygiene: mistakes of the catalogue that show outside the numbers; unclean: the arguments and results concerned.
    places: on the base problem (or the first that shows it); maps: on problems of one and of two steps.
    exact: the circumstances in which the gradients are right all the same.
    causes: explanations of the numbers, equivalent ones side by side; empty if no known mistake fits.
    """

    task: Task
    status: str
    stage: str = ""
    problems: list[str] = field(default_factory=list)
    hygiene: list[str] = field(default_factory=list)
    unclean: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    maps: dict[str, list[Place]] = field(default_factory=dict)
    exact: list[str] = field(default_factory=list)
    causes: list[Explanation] = field(default_factory=list)
    smallest: Smallest | None = None
    where: str = ""
    notes: list[str] = field(default_factory=list)
    failure: Failure | None = None

    @property
    def named(self) -> list[str]:
        """The ids of the mistakes that are named: what shows outside the numbers, then the first cause."""
        return list(dict.fromkeys([*self.hygiene, *(self.causes[0].ids if self.causes else ())]))


def judge(
    subject: Subject, task: Task, seed: int = 0, quick: bool = False, without: frozenset[str] = frozenset()
) -> Finding:
    """Judge one pair of functions of `subject`, on problems drawn from `seed`.

    quick: fewer probes, and no search for the smallest problem. without: mistakes to leave out of the catalogue.
    """
    if not subject.has(task.forward):
        return Finding(task, "missing", failure=Failure("missing", task.forward, "there is no such function"))
    sizes, base = _first(subject, task, seed)
    if base.failure is not None:
        status = "unfinished" if base.failure.kind in ("unfinished", "missing") else "broken"
        finding = Finding(task, status, failure=base.failure)
        if base.outputs and _look_at_forward(finding, base):
            finding.notes.append(f"{task.forward} is right")
        return finding
    finding = Finding(task, "right")
    if sizes:
        finding.status, finding.stage = "wrong", "hygiene"
        finding.problems.append("it runs only if " + (" = ".join(sizes) if len(sizes) > 1 else "D = H"))
    base = _with_precision(finding, base)
    _hygiene(finding, base)
    if "random" in finding.hygiene:
        return finding
    if not _look_at_forward(finding, base):
        forwards.consistent(finding.problems, subject, base)
        return finding
    if not task.gradients:
        return _values_only(finding, subject, seed, sizes, quick)
    cases = _run(finding, subject, task, seed, sizes, base, quick)
    _numbers(finding, subject, cases, base, seed, sizes, quick, without)
    return finding


def _first(subject: Subject, task: Task, seed: int) -> tuple[dict[str, int], Case]:
    """The base problem; with equal sizes if it runs with no others (products of unfitting shapes)."""
    base = take(subject, task, Probe("base"), seed, {}, careful=True)
    failure = base.failure
    if failure is None or failure.kind != "raised" or not task.cell or not _of_shapes(failure):
        return {}, base
    sizes = dict(task.sizes)
    for other in ({"D": sizes["H"]}, dict.fromkeys(sizes, SQUARE)):
        again = take(subject, task, Probe("base"), seed, other, careful=True)
        if again.failure is None:
            return other, again
    return {}, base


def _of_shapes(failure: Failure) -> bool:
    return any(word in failure.message for word in ("shape", "dimension", "broadcast", "mismatch", "size"))


def _with_precision(finding: Finding, base: Case) -> Case:
    """Judged at float32's tolerance if it computes in float32, and told so."""
    arrays = [a for a in (*base.outputs, *base.seen) if a is not None and a.dtype.kind == "f" and a.size]
    coarse = [a.dtype.name for a in arrays if a.dtype.itemsize < 8]
    rounded = [a for a in arrays if a.dtype == np.float64 and np.any(a) and np.array_equal(a, a.astype(np.float32))]
    whole = all(np.array_equal(a, np.round(a)) for a in rounded)
    if not coarse and (not rounded or whole) and not _drifts(base):
        return base
    what = f"it returns {coarse[0]} for float64 inputs" if coarse else "it computes in float32 inside"
    finding.notes.append(f"{what}: judged at float32's precision, where small mistakes can't be seen")
    return replace(base, precision=SINGLE)


def _drifts(base: Case) -> bool:
    """Rounding errors of float32's size: outputs off by about 1e-8, not more than single precision's."""
    if len(base.outputs) != len(base.right_outputs):
        return False
    for seen, right in zip(base.outputs, base.right_outputs, strict=True):
        if malformation(seen, right):
            return False
        error = float(np.max(np.abs(seen - right), initial=0.0)) / max(
            float(np.max(np.abs(right), initial=0.0)), 1e-300
        )
        if DOUBLE.verdict < error < 1e-6:
            return True
    return False


def _hygiene(finding: Finding, base: Case) -> None:
    """What was changed in place, what differs between calls, dtypes that can't hold a gradient."""
    seen = base.remarks
    for kind, verb in (("inputs changed", "changed in place"), ("upstream changed", "changed in place")):
        if seen.get(kind):
            _unclean(finding, "changed-in-place", f"{_list(seen[kind])} {verb}: work on a copy", seen[kind])
    if seen.get("forward differs"):
        _unclean(
            finding,
            "random",
            "two forward passes on the same inputs differ: freeze the randomness (a seed), or reset the state",
            list(base.task.outputs),
        )
    elif "second call" in seen:
        factor = seen["second call"]
        what = f"exactly {factor:.6g} times the first" if np.isfinite(factor) else "different"
        _unclean(
            finding,
            "accumulated",
            f"a second call with the same arguments gives gradients {what}: something is kept between calls",
            seen["second differs"],
        )
    elif seen.get("same cache differs"):
        _unclean(
            finding,
            "changed-in-place",
            "a second backward on the same cache gives something else: the cache is changed in place",
            ["cache"],
        )
    for name, gradient in zip(base.names, base.seen, strict=True):
        if gradient is not None and gradient.dtype.kind in "iub":
            _unclean(finding, "ints", f"{name} has dtype {gradient.dtype}: it is cut to whole numbers", [name])
    if seen.get("aliases"):
        finding.notes.append(f"{'; '.join(seen['aliases'])} share memory: changing one changes the other")
    if seen.get("cache used up"):
        finding.notes.append("backward uses its cache up: it can't be called twice on one")
    finding.notes += [f"it warns: {text}" for text in seen.get("warnings", [])]


def _unclean(finding: Finding, id: str, text: str, names: Sequence[str] = ()) -> None:
    finding.status, finding.stage = "wrong", finding.stage or "hygiene"
    finding.problems.append(text)
    if id not in finding.hygiene:
        finding.hygiene.append(id)
    finding.unclean += names


def _look_at_forward(finding: Finding, base: Case) -> bool:
    """Whether the outputs are right; says what is wrong with them if not."""
    wrong = forwards.wrong(base)
    if wrong:
        finding.stage = "forward"
        finding.status = "wrong" if finding.status != "broken" else finding.status
        finding.problems += wrong
        if any(o is not None and o.dtype.kind in "iub" for o in base.outputs):
            finding.hygiene.append("ints")
    return not wrong


def _values_only(finding: Finding, subject: Subject, seed: int, sizes: dict[str, int], quick: bool) -> Finding:
    """A function without gradients: its values on every probe."""
    for probe in probes(finding.task, quick)[1:]:
        case = take(subject, finding.task, probe, seed, sizes)
        problems = [str(case.failure)] if case.failure else forwards.wrong(case)
        if problems:
            finding.status, finding.stage = "wrong", "forward"
            finding.problems += [f"{probe.when}: {text}" for text in problems]
    return finding


def _run(
    finding: Finding, subject: Subject, task: Task, seed: int, sizes: dict[str, int], base: Case, quick: bool
) -> list[Case]:
    """All probes. Functions that keep something between calls are loaded anew for each."""
    keeps = "second call" in base.remarks or bool(base.remarks.get("forward differs"))
    cases = [base]
    for probe in probes(task, quick)[1:]:
        if keeps:
            subject.fresh()
        case = replace(take(subject, task, probe, seed, sizes), precision=base.precision)
        if case.failure is not None:
            _crashed(finding, case)
        elif wrong := forwards.wrong(case):
            finding.status, finding.stage = "wrong", "forward"
            finding.problems += [f"{probe.when or probe.name}: {text}" for text in wrong[:1]]
        else:
            cases.append(case)
    return cases


def _crashed(finding: Finding, case: Case) -> None:
    finding.status, finding.stage = "wrong", finding.stage or "hygiene"
    finding.problems.append(f"it fails {case.probe.when or case.probe.name}: {case.failure}")


def _numbers(
    finding: Finding,
    subject: Subject,
    cases: list[Case],
    base: Case,
    seed: int,
    sizes: dict[str, int],
    quick: bool,
    without: frozenset[str],
) -> None:
    """Right or wrong, where, what, and how small it gets."""
    if base.precision is DOUBLE and any(not case.all_right for case in cases) and _single_inside(cases):
        cases = [replace(case, precision=SINGLE) for case in cases]
        finding.notes.append(
            "it computes in float32 inside: judged at float32's precision, where small mistakes can't be seen"
        )
    wrong = [case for case in cases if not case.all_right]
    if not wrong:
        return
    main = wrong[0]
    finding.status = "wrong"
    finding.stage = finding.stage or "gradients"
    finding.places = places(main)
    finding.maps = {case.probe.name: places(case) for case in cases if case.probe.name in ("T = 1", "T = 2")}
    finding.where = "" if main.probe.name == "base" else main.probe.when
    finding.exact = [case.probe.when for case in cases if case.probe.when and case.all_right]
    if finding.hygiene != ["accumulated"] and "random" not in finding.hygiene:
        finding.causes = explain(cases, without)
    finding.problems += [f"{place.tensor}: {place.problem}" for place in finding.places if place.problem]
    if not quick:
        finding.smallest = _smallest(subject, main, seed)


def _single_inside(cases: Sequence[Case]) -> bool:
    """Errors everywhere of float32's size, and not linear in the upstream as a mistake's would be."""
    named = {case.probe.name: case for case in cases}
    base, small = named["base"], named.get("upstream x 1e-3")
    if small is None or any(malformation(s, r) for case in cases for s, r in zip(case.seen, case.right, strict=True)):
        return False
    sizes = [base.scale(k) for k in range(len(base.seen))]
    errors = [np.abs(s - r).max(initial=0.0) / size for s, r, size in zip(base.seen, base.right, sizes, strict=True)]
    if not DOUBLE.verdict < max(errors) < 1e-5:
        return False
    bends = [
        np.abs(1e3 * s - b).max(initial=0.0) / size for s, b, size in zip(small.seen, base.seen, sizes, strict=True)
    ]
    return bool(max(bends) > 1e-2 * max(errors))


def _smallest(subject: Subject, main: Case, seed: int) -> Smallest | None:
    """Shrink sizes and set arguments to zero as long as some tensor stays wrong; None if it shows elsewhere only."""
    task, factor = main.task, main.probe.factor
    start = {name: size for name, size in {**dict(task.sizes), **main.sizes}.items() if name in dict(task.sizes)}
    zeros = [name for name in task.shapes if name not in task.fixed and isinstance(main.given[name], np.ndarray)]

    def fails(sizes: dict[str, int], zero: frozenset[str]) -> bool:
        case = reduced(subject, task, sizes, tuple(zero), seed, factor)
        return case.failure is None and not case.all_right and not forwards.wrong(case)

    if main.precision is SINGLE or not fails(start, frozenset()):
        return None
    sizes, zero = shrink(fails, start, zeros)
    return Smallest(sizes, tuple(sorted(zero)), seed, factor)


def reduced(
    subject: Subject, task: Task, sizes: dict[str, int], zero: Sequence[str], seed: int, factor: float = 1.0
) -> Case:
    """A problem of these sizes with some arguments zero; what the message's line of code runs."""
    rng = np.random.default_rng([seed, 11])
    full: dict[str, Any] = with_blocks(task, {**dict(task.sizes), **sizes})
    given, into = arguments(task, full, rng), upstreams(task, full, rng)
    into = [factor * u for u in into]
    for name in zero:
        given[name] = np.zeros_like(given[name])
    return compare(subject, task, Probe("reduced"), given, into)


def _list(names: Sequence[str]) -> str:
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(names)} {verb}"
