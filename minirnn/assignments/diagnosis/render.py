"""What was found, as text at five levels of help and as JSON.

    0  which functions are right        1  which results are wrong      2  where, when not, and the smallest problem
    3  what kind of mistake it is, and where to look                    4  the mistake itself, with its equation

A level shows everything below it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from minirnn.assignments.catalogue.mistakes import MISTAKES
from minirnn.assignments.diagnosis.files import FileReport
from minirnn.assignments.diagnosis.judging import Finding
from minirnn.assignments.diagnosis.match import Explanation
from minirnn.assignments.diagnosis.places import Place, drawn

SCHEMA = 1
LEVELS = range(5)
UNKNOWN = "no known mistake fits"
WORDS = {
    "right": "right",
    "wrong": "WRONG",
    "broken": "CAN'T BE JUDGED",
    "unfinished": "not finished",
    "missing": "missing",
}


def text(report: FileReport, hint: int = 4) -> str:
    """The whole report."""
    lines = [f"{report.path} (seed {report.seed})"]
    if report.problem:
        lines.append(f"can't be judged: {report.problem}")
    for finding in report.findings:
        lines += ["", *finding_lines(finding, hint, report)]
    return "\n".join([*lines, "", summary(report)])


def summary(report: FileReport) -> str:
    """One line with the verdict."""
    if report.problem:
        return "verdict: can't be judged"
    right = sum(finding.status == "right" for finding in report.findings)
    rest = [f"{finding.task.name} {WORDS[finding.status]}" for finding in report.findings if finding.status != "right"]
    return f"verdict: {right} of {len(report.findings)} right" + (f"; {', '.join(rest)}" if rest else "")


def finding_lines(finding: Finding, hint: int, report: FileReport | None = None) -> list[str]:
    """One pair of functions. The fields always come in the same order."""
    task = finding.task
    pair = " and ".join(task.functions)
    lines = [f"{task.name}: {WORDS[finding.status]}   ({pair})"]
    if finding.failure is not None:
        lines.append(f"  {finding.failure}")
    if hint >= 1:
        lines += [f"  note: {note}" for note in finding.notes]
    if finding.status in ("right", "missing") or hint == 0:
        return lines
    if finding.status == "wrong":
        lines += [f"  {line}" for line in _wrong(finding, hint, report)]
    return lines


def _wrong(finding: Finding, hint: int, report: FileReport | None) -> Iterator[str]:
    same = "random" not in finding.hygiene
    yield "forward: " + (("wrong" if finding.stage == "forward" else "right") if same else "not the same twice")
    for problem in finding.problems:
        yield f"problem: {problem}"
    tensors = [place.tensor for place in finding.places if place.wrong] or finding.unclean
    if tensors:
        circumstance = f", {finding.where}" if finding.where else ""
        yield f"wrong: {', '.join(tensors)}{circumstance}"
    if hint < 2:
        return
    yield from _where(finding)
    yield from _smallest(finding, report)
    if hint >= 3 and (finding.places or finding.hygiene):
        yield from _causes(finding, hint)


def _where(finding: Finding) -> Iterator[str]:
    if finding.unclean and not finding.places:
        yield f"where: {', '.join(finding.unclean)}, all blocks and steps"
    if finding.places:
        yield "where (x wrong, . right" + ("; steps from the first to the last):" if finding.task.sequence else "):")
        yield from drawn(finding.places)
    for name, found in finding.maps.items():
        if any(place.wrong for place in found):
            yield f"where for {name}" + (", c0 = 0:" if finding.task.cell == "lstm" else ":")
            yield from drawn(found)
    if finding.exact:
        yield "exact: " + "; ".join(finding.exact)
    elif finding.places:
        yield "exact: in none of the probes"


def _smallest(finding: Finding, report: FileReport | None) -> Iterator[str]:
    small = finding.smallest
    if small is None:
        if finding.places:
            yield f"smallest failing problem: the first one above{', ' + finding.where if finding.where else ''}"
        elif finding.hygiene:
            yield "smallest failing problem: any; it shows at every size"
        return
    sizes = ", ".join(f"{name}={size}" for name, size in small.sizes.items())
    zero = f"; zero: {', '.join(small.zero)}" if small.zero else ""
    zero += f"; upstream × {small.factor:g}" if small.factor != 1 else ""
    yield f"smallest failing problem: {sizes}{zero}"
    if report is not None:
        options = f", zero={list(small.zero)}" if small.zero else ""
        options += f", factor={small.factor:g}" if small.factor != 1 else ""
        options += f", gates={report.gates!r}" if report.gates else ""
        options += f", truncate={report.truncate}" if report.truncate else ""
        call = f"reproduce({report.path!r}, {finding.task.name!r}, {sizes}{options}, seed={small.seed})"
        yield f'  python -c "from minirnn.assignments import reproduce; {call}"'


def _causes(finding: Finding, hint: int) -> Iterator[str]:
    ids = finding.named
    if not ids:
        yield "family: unknown"
        yield f"cause: {UNKNOWN}"
        yield "evidence: every mistake of the catalogue predicts other numbers than these"
        yield f"look at: {_guide(finding)}"
        return
    families = list(dict.fromkeys(MISTAKES[id].family for id in ids))
    yield f"family: {', '.join(families)}"
    if hint >= 4:
        for id in ids:
            yield f"cause: {MISTAKES[id].title}"
            yield f"  written, perhaps:  {MISTAKES[id].wrong}"
            yield f"  has to be:         {MISTAKES[id].right}"
        for other in finding.causes[1:]:
            yield "  or, the same numbers: " + " together with ".join(MISTAKES[id].title for id in other.ids)
        yield "evidence: " + evidence(finding)
        worst = _worst(finding.places)
        if worst:
            yield f"numbers: {worst}"
    yield "look at: " + "; ".join(dict.fromkeys(MISTAKES[id].look for id in ids))


def evidence(finding: Finding) -> str:
    """Why the mistake was named."""
    if not finding.causes:
        return "seen when the functions were called and their arguments compared: see the problem above"
    cause = finding.causes[0]
    parts = [cause.note] if cause.note else []
    parts += [f"{name} is {what}" for name, what in cause.operations.items()]
    if not cause.note:
        parts.append(f"the numbers equal those of this mistake (match {cause.deviation:.0e} on {cause.probes} probes)")
    return "; ".join(parts)


def _guide(finding: Finding) -> str:
    """Where to look if nothing is known: what the first wrong place says."""
    wrong = [place for place in finding.places if place.wrong]
    if "for T = 1" in finding.exact:
        return "what is carried from step to step: it is right for one step"
    one = [place for place in finding.maps.get("T = 1", []) if place.wrong] or wrong
    blocks = sorted({gate for place in one for gate, bad in (place.blocks or {}).items() if bad})
    if blocks and len(blocks) < finding.task.blocks:
        return f"the lines of the gates {', '.join(blocks)}"
    return f"the lines that make {', '.join(place.tensor for place in one) or 'the results'}"


def _worst(found: list[Place]) -> str:
    compared = [place for place in found if place.error is not None and place.wrong]
    if not compared:
        return ""
    worst = max(compared, key=lambda place: place.error or 0.0)
    index = ", ".join(map(str, worst.index or ()))
    return f"{worst.tensor}[{index}] is {worst.got:.9g}, should be {worst.expected:.9g}"


# ---- JSON ----------------------------------------------------------------------------------------------------------


def as_dict(report: FileReport, hint: int = 4) -> dict[str, Any]:
    """The report as plain values; the schema is in docs/instructors.md. What the hint level hides is null or empty."""
    return {
        "schema": SCHEMA,
        "file": report.path,
        "seed": report.seed,
        "gates": report.gates,
        "truncate": report.truncate,
        "hint": hint,
        "exit_code": report.exit_code,
        "problem": report.problem,
        "functions": [_function(finding, hint) for finding in report.findings],
    }


def _function(finding: Finding, hint: int) -> dict[str, Any]:
    failure = finding.failure
    small = finding.smallest
    return {
        "task": finding.task.name,
        "functions": list(finding.task.functions),
        "verdict": finding.status,
        "failure": asdict(failure) if failure is not None else None,
        "stage": finding.stage if hint >= 1 else "",
        "notes": finding.notes if hint >= 1 else [],
        "problems": finding.problems if hint >= 1 else [],
        "wrong": [place.tensor for place in finding.places if place.wrong] or finding.unclean if hint >= 1 else [],
        "places": [asdict(place) for place in finding.places] if hint >= 2 else [],
        "maps": {k: [asdict(place) for place in v] for k, v in finding.maps.items()} if hint >= 2 else {},
        "exact": finding.exact if hint >= 2 else [],
        "smallest": asdict(small) if small is not None and hint >= 2 else None,
        "families": list(dict.fromkeys(MISTAKES[id].family for id in finding.named)) if hint >= 3 else [],
        "named": finding.named if hint >= 4 else [],
        "causes": [_cause(cause) for cause in finding.causes] if hint >= 4 else [],
    }


def _cause(cause: Explanation) -> dict[str, Any]:
    return {
        "mistakes": list(cause.ids),
        "titles": [MISTAKES[id].title for id in cause.ids],
        "right": [MISTAKES[id].right for id in cause.ids],
        "operations": cause.operations,
        "deviation": cause.deviation,
        "probes": cause.probes,
        "note": cause.note,
    }
