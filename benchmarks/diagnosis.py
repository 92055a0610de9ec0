"""The rates at which the check detects, places and names the mistakes in benchmarks/student_files/mutants.py.

    python benchmarks/diagnosis.py                 everything (about 5 minutes on one core)
    python benchmarks/diagnosis.py --part names    detection, place, name
    python benchmarks/diagnosis.py --list          also list each mutant that is not detected, not placed or not named

A mutant is detected if the verdict isn't "right". It is placed if the reported tensors, gate blocks and steps are
exactly those that its author expected, on the base problem and for T = 1. It is named if the first reported cause
consists of its mistake, or of an equivalent one; it is wrongly named if the first cause is another mistake. A mutant
without a known cause counts as unknown.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import peer_checks
from student_files import mutants, odd_styles
from student_files.mutants import Mutant

from minirnn import gradcheck
from minirnn.assignments.catalogue.mistakes import MISTAKES
from minirnn.assignments.catalogue.tasks import TASKS
from minirnn.assignments.diagnosis.judging import Finding, judge
from minirnn.assignments.diagnosis.places import Place
from minirnn.assignments.diagnosis.probes import Probe, probes, problem
from minirnn.assignments.sandbox.observe import Functions

NOTHING = frozenset(MISTAKES)  # removed from the catalogue, so that the verdict is only right or wrong


def functions(source: str) -> Functions:
    """Return the functions that a source text defines."""

    code = compile(source, "student.py", "exec")

    def load() -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(code, names)
        return names

    return Functions(load(), load)


@dataclass
class Score:
    """The judgement of one mutant, compared with the expectation of its author."""

    mutant: Mutant
    finding: Finding
    seconds: float
    detected: bool
    placed: bool
    verdict: str  # "right name", "ranked" (the right name is not the first), "wrong name" or "unknown"
    why: str  # what was found and what was expected


def where(places: Iterable[Place]) -> dict[str, str]:
    """Return the wrong tensors with their wrong blocks or steps, in the notation of the mutants."""
    found = {}
    for place in places:
        if place.wrong:
            marks = ""
            if place.steps is not None:
                marks = "".join(".x"[bad] for bad in place.steps)
            elif place.blocks is not None:
                marks = "".join(gate for gate, bad in place.blocks.items() if bad)
            found[place.tensor] = marks
    return found


def agrees(expected: dict[str, str], found: dict[str, str], gates: str) -> bool:
    """Return whether the same tensors are wrong, in the same steps and in the same blocks."""

    def canonical(name: str, marks: str) -> str:
        if name in ("dh0", "dprev_h", "dprev_c"):
            return ""
        return marks if set(marks) <= set("x.") else "".join(g for g in gates if g in marks)

    return set(expected) == set(found) and all(
        not found[name] or canonical(name, expected[name]) == canonical(name, found[name]) for name in expected
    )


def score(mutant: Mutant, seed: int = 0, without: frozenset[str] = frozenset()) -> Score:
    """Judge a mutant with a catalogue from which the mistakes in `without` are removed."""
    start = time.perf_counter()
    finding = judge(functions(mutant.source), TASKS[mutant.task], seed, without=without)
    seconds = time.perf_counter() - start
    gates = mutants.GATES[mutant.cell]
    if mutant.kind == "state":
        placed = set(mutant.base) <= {*finding.unclean}
        found, one = dict.fromkeys(finding.unclean, ""), {}
    else:
        found, one = where(finding.places), where(finding.maps.get("T = 1", []))
        placed = agrees(mutant.base, found, gates)
        placed = placed and (mutant.task != mutant.cell or agrees(mutant.one, one, gates))
    allowed = {mutant.mistake, *mutant.also}
    if not finding.named:
        verdict = "unknown"
    elif set(finding.named) <= allowed:
        verdict = "right name"
    elif (
        mutant.kind != "state"
        and any(mutant.mistake in cause.ids for cause in finding.causes)
        and any(set(cause.ids) <= allowed for cause in finding.causes)
    ):
        verdict = "ranked"
    else:
        verdict = "wrong name"
    why = (
        f"status {finding.status} {finding.problems[:1]} found {found} one {one} expected {mutant.base} | {mutant.one} "
        f"named {[c.ids for c in finding.causes]} {finding.hygiene}"
    )
    return Score(mutant, finding, seconds, finding.status != "right", placed, verdict, why)


def share(n: int, of: int) -> str:
    """Return a share as "3/4 = 75.0%"."""
    return f"{n}/{of} = {100 * n / max(of, 1):.1f}%"


def names(args: argparse.Namespace) -> None:
    """Score every mutant, and print the counts for each mistake."""
    scores = [score(m) for m in mutants.MUTANTS]
    report("every mistake", scores, args.list)
    by = defaultdict(list)
    for s in scores:
        by[s.mutant.mistake].append(s)
    print(f"{'mistake':26} mutants detected placed named wrong")
    for id in MISTAKES:
        if by[id]:
            detected, placed = sum(s.detected for s in by[id]), sum(s.placed for s in by[id])
            right, wrong = (sum(s.verdict == verdict for s in by[id]) for verdict in ("right name", "wrong name"))
            print(f"{id:26} {len(by[id]):7} {detected:8} {placed:6} {right:5} {wrong:5}")


def report(title: str, scores: list[Score], listed: bool) -> None:
    """Print the rates of some scores. listed: also print each mutant with an unexpected result."""
    c = Counter(s.verdict for s in scores)
    n = len(scores)
    times = np.array([s.seconds for s in scores])
    print(
        f"{title}: {n} mutants; detected {share(sum(s.detected for s in scores), n)}, "
        f"placed {share(sum(s.placed for s in scores), n)}, right name first {share(c['right name'], n)}, "
        f"right name not first {c['ranked']}, unknown {c['unknown']}, wrong name {share(c['wrong name'], n)}; "
        f"{np.median(times):.3f} s per check (median), at most {times.max():.3f} s, {times.sum():.0f} s in total",
        flush=True,
    )
    if listed:
        for s in scores:
            if not (s.detected and s.placed and s.verdict == "right name"):
                flags = [s.verdict, *(["not detected"] * (not s.detected)), *(["misplaced"] * (not s.placed))]
                print(f"   {s.mutant.name}: {', '.join(flags)}\n        {s.why}")


def thirds(args: argparse.Namespace) -> None:
    """Score the mutants of each third of the catalogue with that third removed from it."""
    ids = sorted({m.mistake for m in mutants.MUTANTS if m.kind == "numbers"})
    for seed in range(args.draws):
        rng = random.Random(seed)
        shuffled = rng.sample(ids, len(ids))
        for part in range(3):
            out = frozenset(shuffled[part::3])
            scores = [score(m, without=out) for m in mutants.MUTANTS if m.mistake in out and m.kind == "numbers"]
            report(f"without {len(out)} mistakes (draw {seed}, part {part})", scores, args.list)


def pairs(args: argparse.Namespace) -> None:
    """Score files with two mistakes; the expected places come from a comparison with the correct file."""
    pool = [m for m in mutants.MUTANTS if m.kind == "numbers" and m.task == m.cell]
    rng = random.Random(0)
    scores: list[Score] = []
    while len(scores) < args.pairs:
        a, b = rng.sample(pool, 2)
        if (
            (a.style, a.cell) != (b.style, b.cell)
            or a.mistake == b.mistake
            or b.mistake in a.also
            or a.mistake in b.also
        ):
            continue
        try:
            source = mutants.edited(a.style, a.cell, [*a.edits, *b.edits])
        except ValueError:  # the first edit has removed the text of the second
            continue
        if any(new not in source for old, new in (*a.edits, *b.edits) if new):
            continue
        expected = truth(source, a.style, a.cell, "base")
        if expected is None or not expected:
            continue
        one = truth(source, a.style, a.cell, "T = 1")
        variant = f"{a.variant} + {b.mistake}/{b.variant}"
        also = (b.mistake, *a.also, *b.also)
        mutant = Mutant(a.mistake, variant, a.cell, a.style, source, expected, one or {}, also, a.cell)
        scores.append(score(mutant))
    report("two mistakes", scores, args.list)


def truth(source: str, style: str, cell: str, probe_name: str) -> dict[str, str] | None:
    """Return the places where a file's gradients differ from those of the correct file, or None if it doesn't run."""
    task = TASKS[cell]
    probe = next(p for p in probes(task) if p.name == probe_name)
    given, into = problem(task, probe, 0, {})
    assert task.backward is not None  # only None for the softmax loss, which has no mutants of this kind
    results = []
    for text in (source, mutants.source(style)):
        names = functions(text).functions
        try:
            _, cache = names[task.forward](*(np.array(v) for v in given.values()))
            results.append(names[task.backward](np.array(into[0]), cache))
        except ValueError:
            return None
    gates = mutants.GATES[cell]  # in the order of the students' files
    largest = max(np.abs(right).max() for right in results[1])
    found = {}
    for name, seen, right in zip(task.gradients, *results, strict=True):
        scale = max(np.abs(right).max(), 0.01 * largest)
        if seen is None or np.shape(seen) != right.shape:
            blocks = "x" * right.shape[1] if name == "dx" else gates
            found[name] = "" if name == "dh0" else blocks
            continue
        off = np.abs(seen - right) > 4.1e-10 * scale
        if off.any():
            steps = "".join(".x"[int(off[:, t].any())] for t in range(right.shape[1])) if name == "dx" else ""
            blocks = (
                "".join(g for g, part in zip(gates, np.split(off, len(gates), axis=-1), strict=True) if part.any())
                if name != "dh0" and not steps
                else ""
            )
            found[name] = steps or blocks
    return found


def odd(args: argparse.Namespace) -> None:
    """Check that correct files in unusual styles pass, and that float32 inside a file is detected."""
    alarms = checks = 0
    start = time.perf_counter()
    for name, (task, source) in odd_styles.STYLES.items():
        subject = functions(source)
        wrong = 0
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            for seed in range(args.seeds):
                finding = judge(subject, TASKS[task], seed)
                checks += 1
                if finding.status != "right" or any("float32" in note for note in finding.notes):
                    wrong += 1
                    example = f"seed {seed}: {finding.status} {finding.problems} {finding.failure} {finding.notes}"
        alarms += wrong
        if wrong:
            print(f"   {name}: {wrong} of {args.seeds} called wrong; {example}")
    seconds = time.perf_counter() - start
    print(
        f"right files: {len(odd_styles.STYLES)} styles x {args.seeds} seeds, float64: {alarms} false alarms "
        f"in {checks} checks; {seconds:.0f} s",
        flush=True,
    )
    reported = total = 0
    for name, (task, source) in odd_styles.SINGLE.items():
        subject = functions(source)
        for seed in range(args.seeds):
            finding = judge(subject, TASKS[task], seed)
            total += 1
            good = finding.status == "right" and any("float32" in note for note in finding.notes)
            reported += good
            if not good and args.list:
                print(f"   {name}, seed {seed}: {finding.status} {finding.notes} {finding.problems}")
    print(f"files that compute in float32: reported as such and judged right {share(reported, total)}")


def sensitivity(args: argparse.Namespace) -> None:
    """Scale down a relative error in one tensor, or in one entry, until the check no longer detects it."""
    print("smallest detected relative error, in powers of ten (3 styles x 3 cells x each tensor x 3 kinds of error):")
    limits = []
    for style in mutants.STYLES:
        for cell in mutants.CELLS:
            task = TASKS[cell]
            plain = functions(mutants.source(style)).functions
            assert task.backward is not None
            for k in range(len(task.gradients)):
                for kind in ("factor", "entry", "noise"):
                    found = 1.0
                    for power in range(1, 13):
                        spoiled = {**plain, task.backward: _off(plain[task.backward], k, kind, 10.0**-power)}
                        if judge(Functions(spoiled), task, quick=True, without=NOTHING).status == "right":
                            break
                        found = 10.0**-power
                    limits.append(found)
    counts = Counter(limits)
    print(
        "   "
        + ", ".join(f"{size:.0e}: {counts[size]}" for size in sorted(counts))
        + f"; always detected: {max(limits):.0e}"
    )


def _off(backward: Callable[..., Any], k: int, kind: str, size: float) -> Callable[..., Any]:
    """Return a backward whose tensor k is wrong by `size` relative to its largest entry."""

    def spoiled(dh: Any, cache: Any) -> tuple[Any, ...]:
        results = [np.array(g) for g in backward(dh, cache)]
        g = results[k]
        if kind == "factor":
            g *= 1 + size
        elif kind == "entry":
            g.flat[np.argmax(np.abs(g))] *= 1 + size
        else:
            g += size * np.abs(g).max() * np.random.default_rng(0).standard_normal(g.shape).clip(-1, 1)
        return tuple(results)

    return spoiled


def peers(args: argparse.Namespace) -> None:
    """Report how many of the same mutants the usual checks detect, each with its common settings."""
    checks = {
        "PyTorch-style (upstream of ones, eps 1e-6, atol 1e-5, rtol 1e-3)": peer_checks.pytorch_style,
        "CS231n-style (relative error below 1e-6 each, h 1e-5, random upstream)": peer_checks.cs231n_style,
        "inner product <v, J^T w> = <J v, w> (one v and w, relative 1e-5)": peer_checks.inner_product,
        "one norm |an - num| / (|an| + |num|) below 1e-5 over the parameters": peer_checks.one_norm,
    }
    found: Counter[str] = Counter()
    total = 0
    for m in mutants.MUTANTS:
        if m.task != m.cell:
            continue
        total += 1
        for name, check in checks.items():
            try:
                names = functions(m.source).functions
                found[name] += not check(names[f"{m.cell}_forward"], names[f"{m.cell}_backward"], m.cell)
            except Exception:  # a crash counts as a detection
                found[name] += 1
    for name in checks:
        print(f"{name}: finds {share(found[name], total)}")


def verdicts(args: argparse.Namespace) -> None:
    """Count the verdicts on two cases without a mistake: a tiny step in float32, and a kink within the step."""
    counts: Counter[str] = Counter()
    for style in mutants.STYLES:
        for cell in mutants.CELLS:
            found = functions(mutants.source(style)).functions
            forward, backward = found[f"{cell}_forward"], found[f"{cell}_backward"]
            given, into = problem(TASKS[cell], Probe("base"), 0, {})
            single = [np.asarray(v, np.float32) for v in given.values()]
            report = gradcheck.check(
                lambda *v, f=forward: (f(*v)[0].astype(np.float32), f(*v)[1]),
                lambda dh, cache, b=backward: tuple(np.asarray(g, np.float32) for g in b(dh, cache)),
                single, upstream=into[0].astype(np.float32), step=1e-7,
            )  # fmt: skip
            counts[f"float32 with step 1e-7: {report.verdict}"] += 1
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, W = rng.standard_normal((3, 4)), rng.standard_normal((4, 5))
        x[1, 2] = 0
        report = gradcheck.check(
            lambda x, W: (np.maximum(x, 0) @ W, (x, W)),
            lambda dy, c: (dy @ c[1].T * (c[0] > 0), np.maximum(c[0], 0).T @ dy),
            (x, W), judge="differences",
        )  # fmt: skip
        counts[f"relu at its kink: {report.verdict}, kinks left out: {any(row.kinks for row in report.rows)}"] += 1
    for text, count in counts.items():
        print(f"{text} ({count})")


DIAGNOSIS_PARTS = {
    "names": names,
    "verdicts": verdicts,
    "thirds": thirds,
    "pairs": pairs,
    "odd": odd,
    "sensitivity": sensitivity,
    "peers": peers,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=DIAGNOSIS_PARTS, default=None)
    parser.add_argument(
        "--list", action="store_true", help="list each mutant that is not detected, not placed or not named"
    )
    parser.add_argument("--pairs", type=int, default=300, help="how many pairs of mistakes")
    parser.add_argument("--draws", type=int, default=1, help="how many random divisions of the catalogue into thirds")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds for the right files")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, part in DIAGNOSIS_PARTS.items():
        if args.part in (None, name):
            part(args)


if __name__ == "__main__":
    main()
