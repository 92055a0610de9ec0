"""Judge one pair of functions: first the forward pass, then side effects, then the gradients.

The forward pass comes first because a wrong one, together with its own gradient, passes any gradient check. Then the
gradients are compared with those of the reference on every probe. If they differ, `places` says where, `match` finds
the mistake, and a search finds the smallest problem that shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from minirnn.assignments.catalogue.tasks import Task
from minirnn.assignments.diagnosis import forwards
from minirnn.assignments.diagnosis.match import Explanation, explain
from minirnn.assignments.diagnosis.places import Place, malformation, places
from minirnn.assignments.diagnosis.probe_results import (
    FLOAT32_PRECISION,
    FLOAT64_PRECISION,
    ProbeResult,
    Trial,
    deviation,
    largest,
)
from minirnn.assignments.diagnosis.probes import Probe, probes
from minirnn.assignments.sandbox.observe import Failure, Subject
from minirnn.gradcheck.shrink import shrink

EQUAL_SIZES = 4  # N = T = D = H for functions that run with no other sizes
SHAPE_ERRORS = ("shape", "dimension", "broadcast", "mismatch", "size")  # words in NumPy's messages
COARSE = "judged with the tolerance of float32, which hides small mistakes"


@dataclass(frozen=True)
class Smallest:
    """The smallest failing problem.

    zero: the arguments that are zero. factor: multiplies the upstream gradient.
    """

    sizes: dict[str, int]
    zero: tuple[str, ...]
    seed: int
    factor: float = 1.0


@dataclass
class Finding:
    """Everything that was found about one pair of functions.

    status: "right", "wrong", "broken" (the functions can't be judged: see `failure`), "unfinished" or "missing".
    stage: what is wrong: "forward", "hygiene" (side effects and dtypes) or "gradients"; "" if nothing is.
    problems: sentences, the most important first.
    hygiene: the mistakes that show in side effects or dtypes; unclean: the arguments and results concerned.
    places: on the base problem, or on the first one with wrong gradients; where: describes this problem if it isn't
    the base problem; maps: the places on problems of one and of two steps.
    exact: the circumstances in which the gradients are right.
    causes: explanations of the gradients, all equally good; empty if no known mistake fits.
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
        """The ids of the named mistakes: those that show in side effects or dtypes, then those of the first cause."""
        return list(dict.fromkeys([*self.hygiene, *(self.causes[0].ids if self.causes else ())]))

    def fail(self, stage: str, problems: Sequence[str] = ()) -> None:
        """Record that a stage is wrong. The stage "forward" replaces any other; otherwise the first one counts."""
        self.status = "wrong" if self.status == "right" else self.status
        self.stage = stage if stage == "forward" else self.stage or stage
        self.problems += problems


def judge(
    subject: Subject, task: Task, seed: int = 0, quick: bool = False, without: frozenset[str] = frozenset()
) -> Finding:
    """Judge one pair of functions of `subject`, on problems drawn with `seed`.

    quick: fewer probes, and no search for the smallest problem. without: mistakes to leave out of the catalogue.
    """
    if not subject.has(task.forward):
        return Finding(task, "missing", failure=Failure("missing", task.forward, "there is no such function"))
    trial, base = _first(Trial(subject, task, seed))
    if base.failure is not None:
        status = "unfinished" if base.failure.kind in ("unfinished", "missing") else "broken"
        finding = Finding(task, status, failure=base.failure)
        if base.outputs and _forward_is_right(finding, base):
            finding.notes.append(f"{task.forward} is right")
        return finding
    finding = Finding(task, "right")
    if sizes := trial.sizes:
        finding.fail("hygiene", ["the functions run only if " + (" = ".join(sizes) if len(sizes) > 1 else "D = H")])
    base = _with_precision(finding, base)
    _check_side_effects(finding, base)
    if "random" in finding.hygiene:
        return finding
    if not _forward_is_right(finding, base):
        finding.problems += forwards.consistent(subject, base)
        return finding
    results = _run_probes(finding, trial, base, quick)
    if task.gradients:
        _check_gradients(finding, trial, results, quick, without)
    return finding


def _first(trial: Trial) -> tuple[Trial, ProbeResult]:
    """Run the base problem, with equal sizes if the functions accept no others because of a wrong matrix product."""
    base = trial.run(Probe("base"), careful=True)
    failure = base.failure
    if failure is None or failure.kind != "raised" or not trial.task.cell:
        return trial, base
    if any(word in failure.message for word in SHAPE_ERRORS):
        sizes = dict(trial.task.sizes)
        for equal in ({"D": sizes["H"]}, dict.fromkeys(sizes, EQUAL_SIZES)):
            other = replace(trial, sizes=equal)
            result = other.run(Probe("base"), careful=True)
            if result.failure is None:
                return other, result
    return trial, base


def _with_precision(finding: Finding, base: ProbeResult) -> ProbeResult:
    """Return the result with the tolerance of float32, and add a note, if the functions compute in float32."""
    arrays = [a for a in (*base.outputs, *base.seen) if a is not None and a.dtype.kind == "f" and a.size]
    coarse = [a.dtype.name for a in arrays if a.dtype.itemsize < 8]
    rounded = [a for a in arrays if a.dtype == np.float64 and np.any(a) and np.array_equal(a, a.astype(np.float32))]
    if not coarse and all(np.array_equal(a, np.round(a)) for a in rounded) and not _has_float32_errors(base):
        return base
    what = f"the functions return {coarse[0]} for float64 inputs" if coarse else "the functions compute in float32"
    finding.notes.append(f"{what}: {COARSE}")
    return replace(base, precision=FLOAT32_PRECISION)


def _has_float32_errors(base: ProbeResult) -> bool:
    """Return whether the errors of the outputs are rounding errors of float32: about 1e-8, at most 1e-6."""
    return len(base.outputs) == len(base.right_outputs) and any(
        not malformation(seen, right)
        and FLOAT64_PRECISION.verdict < deviation(seen, right, max(largest(right), 1e-300)) < 1e-6
        for seen, right in zip(base.outputs, base.right_outputs, strict=True)
    )


def _check_side_effects(finding: Finding, base: ProbeResult) -> None:
    """Record changes in place, differences between calls, and dtypes that can't hold a gradient."""
    remarks = base.remarks

    def record(mistake: str, names: Sequence[str], problem: str) -> None:
        finding.fail("hygiene", [problem])
        finding.hygiene += [mistake] if mistake not in finding.hygiene else []
        finding.unclean += names

    for names in (remarks.get("inputs changed"), remarks.get("upstream changed")):
        if names:
            verb = "is" if len(names) == 1 else "are"
            record("changed-in-place", names, f"{', '.join(names)} {verb} changed in place: work on a copy")
    if remarks.get("forward differs"):
        text = "two forward passes on the same inputs differ: fix the random seed, or reset the state"
        record("random", list(base.task.outputs), text)
    elif "second call" in remarks:
        factor = remarks["second call"]
        what = f"{factor:.6g} times those of the first" if np.isfinite(factor) else "different from those of the first"
        text = f"the gradients of a second call with the same arguments are {what}: some state is kept between calls"
        record("accumulated", remarks["second differs"], text)
    elif remarks.get("same cache differs"):
        text = "a second backward pass with the same cache gives other gradients: the cache is changed in place"
        record("changed-in-place", ["cache"], text)
    for name, gradient in zip(base.names, base.seen, strict=True):
        if gradient is not None and gradient.dtype.kind in "iub":
            record("ints", [name], f"{name} has dtype {gradient.dtype}, which cuts gradients to whole numbers")
    if remarks.get("aliases"):
        finding.notes.append(f"{'; '.join(remarks['aliases'])} share memory: changing one changes the other")
    if remarks.get("cache used up"):
        finding.notes.append("the backward pass changes its cache: a second call with the same cache fails")
    finding.notes += [f"warning: {text}" for text in remarks.get("warnings", [])]


def _forward_is_right(finding: Finding, base: ProbeResult) -> bool:
    """Return whether the outputs are right; record what is wrong with them if not."""
    wrong = forwards.wrong(base)
    if wrong:
        finding.status = "wrong" if finding.status != "broken" else "broken"
        finding.fail("forward", wrong)
        if any(output is not None and output.dtype.kind in "iub" for output in base.outputs):
            finding.hygiene.append("ints")
    return not wrong


def _run_probes(finding: Finding, trial: Trial, base: ProbeResult, quick: bool) -> list[ProbeResult]:
    """Return the results of all probes with right outputs, and record the problems of the others.

    Functions that keep state between calls are loaded again for each probe.
    """
    results = [base]
    for probe in probes(trial.task, quick)[1:]:
        if "second call" in base.remarks:
            trial.subject.fresh()
        result = trial.run(probe, precision=base.precision)
        if result.failure is not None:
            finding.fail(
                "hygiene" if trial.task.gradients else "forward", [f"the functions fail {probe.when}: {result.failure}"]
            )
        elif wrong := forwards.wrong(result):
            finding.fail(
                "forward", [f"{probe.when}: {text}" for text in (wrong[:1] if trial.task.gradients else wrong)]
            )
        else:
            results.append(result)
    return results


def _check_gradients(
    finding: Finding, trial: Trial, results: list[ProbeResult], quick: bool, without: frozenset[str]
) -> None:
    """Record whether the gradients are right, and if not: where, why, and the smallest problem that shows it."""
    all_right = all(result.all_right for result in results)
    if not all_right and results[0].precision is FLOAT64_PRECISION and _single_inside(results):
        results = [replace(result, precision=FLOAT32_PRECISION) for result in results]
        finding.notes.append(f"the functions compute in float32: {COARSE}")
    main = next((result for result in results if not result.all_right), None)
    if main is None:
        return
    finding.fail("gradients")
    finding.places = places(main)
    finding.maps = {r.probe.name: places(r) for r in results if r.probe.name in ("T = 1", "T = 2")}
    finding.where = main.probe.when
    finding.exact = [result.probe.when for result in results if result.probe.when and result.all_right]
    finding.problems += [f"{place.tensor}: {place.problem}" for place in finding.places if place.problem]
    if finding.hygiene != ["accumulated"]:
        finding.causes = explain(results, without)
    if not quick:
        finding.smallest = _smallest(trial, main)


def _single_inside(results: Sequence[ProbeResult]) -> bool:
    """Return whether the errors are rounding errors of float32.

    They have its size, and they are not linear in the upstream gradient, as those of a mistake would be.
    """
    named = {result.probe.name: result for result in results}
    base, small = named["base"], named.get("upstream x 1e-3")
    if small is None or any(malformation(s, r) for one in results for s, r in zip(one.seen, one.right, strict=True)):
        return False
    error = max(map(deviation, base.seen, base.right, base.scales))
    nonlinearity = max(
        deviation(1e3 * s, b, scale) for s, b, scale in zip(small.seen, base.seen, base.scales, strict=True)
    )
    return FLOAT64_PRECISION.verdict < error < 1e-5 and nonlinearity > 1e-2 * error


def _smallest(trial: Trial, main: ProbeResult) -> Smallest | None:
    """Shrink sizes and set arguments to zero while some gradient is wrong; None if only the probe itself shows it."""
    task = main.task
    start = {name: main.sizes.get(name, size) for name, size in task.sizes}
    zeros = [name for name in task.shapes if name not in task.fixed and isinstance(main.given[name], np.ndarray)]

    def problem(sizes: dict[str, int], zero: frozenset[str]) -> Smallest:
        return Smallest(sizes, tuple(sorted(zero)), trial.seed, main.probe.factor)

    def fails(sizes: dict[str, int], zero: frozenset[str]) -> bool:
        result = reduced(trial.subject, task, problem(sizes, zero))
        return result.failure is None and not result.all_right and not forwards.wrong(result)

    if main.precision is FLOAT32_PRECISION or not fails(start, frozenset()):
        return None
    return problem(*shrink(fails, start, zeros))


def reduced(subject: Subject, task: Task, small: Smallest) -> ProbeResult:
    """Run a reduced problem, as `reproduce` does."""
    probe = Probe("reduced", sizes=small.sizes, zero=small.zero, factor=small.factor, stream=11)
    return Trial(subject, task, small.seed).run(probe)
