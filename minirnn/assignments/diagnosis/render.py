"""The report on a file: as text with five levels of hints, and as JSON.

    0  which functions are right
    1  which results are wrong
    2  where and under which circumstances they are wrong, and the smallest failing problem
    3  the kind of mistake, and where to look
    4  the mistake itself, with its equation

Each level includes the levels below it.
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

REPORT_SCHEMA = 1
STATUSES = {
    "right": "right",
    "wrong": "WRONG",
    "broken": "CAN'T BE JUDGED",
    "unfinished": "not finished",
    "missing": "missing",
}


def text(report: FileReport, hint: int = 4) -> str:
    """Return the report on a file as text."""
    lines = [f"{report.path} (seed {report.seed})"]
    if report.problem:
        lines.append(f"can't be judged: {report.problem}")
    for finding in report.findings:
        lines += ["", *finding_lines(finding, hint, report)]
    return "\n".join([*lines, "", summary(report)])


def summary(report: FileReport) -> str:
    """Return the line with the verdict."""
    if report.problem:
        return "verdict: can't be judged"
    rest = [f"{one.task.name} {STATUSES[one.status]}" for one in report.findings if one.status != "right"]
    right = len(report.findings) - len(rest)
    return f"verdict: {right} of {len(report.findings)} right" + (f"; {', '.join(rest)}" if rest else "")


def finding_lines(finding: Finding, hint: int, report: FileReport | None = None) -> list[str]:
    """Return the lines about one pair of functions. The fields are always in the same order."""
    lines = [f"{finding.task.name}: {STATUSES[finding.status]}   ({' and '.join(finding.task.functions)})"]
    if finding.failure is not None:
        lines.append(f"  {finding.failure}")
    if hint >= 1:
        lines += [f"  note: {note}" for note in finding.notes]
        if finding.status == "wrong":
            lines += [f"  {line}" for line in _wrong(finding, hint, report)]
    return lines


def _wrong(finding: Finding, hint: int, report: FileReport | None) -> Iterator[str]:
    if "random" in finding.hygiene:
        yield "forward: two calls differ"
    else:
        yield f"forward: {'wrong' if finding.stage == 'forward' else 'right'}"
    yield from (f"problem: {problem}" for problem in finding.problems)
    if tensors := _wrong_tensors(finding):
        yield f"wrong: {', '.join(tensors)}" + (f", {finding.where}" if finding.where else "")
    if hint >= 2:
        yield from _where(finding)
        yield from _smallest(finding, report)
    if hint >= 3 and (finding.places or finding.hygiene):
        yield from _causes(finding, hint)


def _wrong_tensors(finding: Finding) -> list[str]:
    return [place.tensor for place in finding.places if place.wrong] or finding.unclean


def _where(finding: Finding) -> Iterator[str]:
    if finding.places:
        yield "where (x wrong, . right" + ("; steps from the first to the last):" if finding.task.sequence else "):")
        yield from drawn(finding.places)
    elif finding.unclean:
        yield f"where: {', '.join(finding.unclean)}, all blocks and steps"
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
            yield "smallest failing problem: the first one above" + (f", {finding.where}" if finding.where else "")
        elif finding.hygiene:
            yield "smallest failing problem: any; the problem appears at every size"
        return
    sizes = ", ".join(f"{name}={size}" for name, size in small.sizes.items())
    factor = f"{small.factor:g}" if small.factor != 1 else ""
    zero = f"; zero: {', '.join(small.zero)}" if small.zero else ""
    yield f"smallest failing problem: {sizes}{zero}" + (f"; upstream × {factor}" if factor else "")
    if report is not None:
        values = {
            "zero": str(list(small.zero)) if small.zero else "",
            "factor": factor,
            "gates": repr(report.gates) if report.gates else "",
            "truncate": str(report.truncate) if report.truncate else "",
        }
        options = "".join(f", {name}={value}" for name, value in values.items() if value)
        call = f"reproduce({report.path!r}, {finding.task.name!r}, {sizes}{options}, seed={small.seed})"
        yield f'  python -c "from minirnn.assignments import reproduce; {call}"'


def _causes(finding: Finding, hint: int) -> Iterator[str]:
    mistakes = [MISTAKES[id] for id in finding.named]
    if not mistakes:
        yield "family: unknown"
        yield "cause: no known mistake fits"
        yield "evidence: every mistake in the catalogue predicts gradients other than these"
        yield f"look at: {_guide(finding)}"
        return
    yield "family: " + ", ".join(dict.fromkeys(mistake.family for mistake in mistakes))
    if hint >= 4:
        for mistake in mistakes:
            yield f"cause: {mistake.title}"
            yield f"  you may have written:  {mistake.wrong}"
            yield f"  it should be:          {mistake.right}"
        for other in finding.causes[1:]:
            titles = " together with ".join(MISTAKES[id].title for id in other.ids)
            yield f"  or, with the same gradients: {titles}"
        yield f"evidence: {evidence(finding)}"
        if worst := _worst(finding.places):
            yield f"numbers: {worst}"
    yield "look at: " + "; ".join(dict.fromkeys(mistake.look for mistake in mistakes))


def evidence(finding: Finding) -> str:
    """Return why the mistake was named."""
    if not finding.causes:
        return "observed while the functions were called: see the problem above"
    cause = finding.causes[0]
    match = f"your gradients equal those of this mistake (match {cause.deviation:.0e} on {cause.probes} probes)"
    tensors: dict[str, list[str]] = {}
    for name, what in cause.operations.items():
        tensors.setdefault(what, []).append(name)
    operations = [f"{', '.join(names)}: {what}" for what, names in tensors.items()]
    return "; ".join([*([cause.note] if cause.note else []), *operations, *([] if cause.note else [match])])


def _guide(finding: Finding) -> str:
    """Return where to look for an unknown mistake, from the places where the gradients are wrong."""
    if "for T = 1" in finding.exact:
        return "the gradients that are carried from step to step: for a single step, the result is right"
    one_step = [place for place in finding.maps.get("T = 1", []) if place.wrong]
    wrong = one_step or [place for place in finding.places if place.wrong]
    blocks = sorted({gate for place in wrong for gate, bad in (place.blocks or {}).items() if bad})
    if blocks and len(blocks) < finding.task.blocks:
        return f"the lines of the gates {', '.join(blocks)}"
    return f"the lines that compute {', '.join(place.tensor for place in wrong) or 'the results'}"


def _worst(found: list[Place]) -> str:
    """Return the entry with the largest error, as text; "" if no tensor can be compared."""
    compared = [place for place in found if place.wrong and place.index is not None]
    if not compared:
        return ""
    worst = max(compared, key=lambda place: place.error or 0.0)
    return f"{worst.tensor}{list(worst.index or ())} is {worst.got:.9g}, should be {worst.expected:.9g}"


# ---- JSON ----------------------------------------------------------------------------------------------------------


def as_dict(report: FileReport, hint: int = 4) -> dict[str, Any]:
    """Return the report as plain values; docs/instructors.md has the schema.

    Fields that the hint level hides are null or empty.
    """
    return {
        "schema": REPORT_SCHEMA,
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
    failure, small = finding.failure, finding.smallest
    return {
        "task": finding.task.name,
        "functions": list(finding.task.functions),
        "verdict": finding.status,
        "failure": asdict(failure) if failure is not None else None,
        "stage": finding.stage if hint >= 1 else "",
        "notes": finding.notes if hint >= 1 else [],
        "problems": finding.problems if hint >= 1 else [],
        "wrong": _wrong_tensors(finding) if hint >= 1 else [],
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
