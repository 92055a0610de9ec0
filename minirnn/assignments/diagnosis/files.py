"""The verdict on a whole file: every pair of functions that it has, in the order of the course."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minirnn.assignments.catalogue.tasks import Task, chosen
from minirnn.assignments.diagnosis.judging import Finding, judge
from minirnn.assignments.diagnosis.probes import Probe, problem
from minirnn.assignments.sandbox.observe import Subject
from minirnn.assignments.sandbox.runner import CannotLoad, File
from minirnn.gradcheck import Sweep, sweep


@dataclass
class FileReport:
    """Findings by task, in order; `problem` if the file can't be judged at all."""

    path: str
    seed: int
    gates: str | None
    truncate: int
    findings: list[Finding] = field(default_factory=list)
    problem: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def judged(self) -> list[Finding]:
        """What there was to judge."""
        return [finding for finding in self.findings if finding.status in ("right", "wrong", "broken")]

    @property
    def exit_code(self) -> int:
        """0 all right, 1 something is wrong, 2 something can't be judged."""
        states = {finding.status for finding in self.findings}
        if "wrong" in states:
            return 1
        if self.problem or "broken" in states or not self.judged:
            return 2
        return 0


def check_file(
    path: Path,
    seed: int = 0,
    gates: str | None = None,
    truncate: int = 0,
    quick: bool = False,
    only: str | None = None,
) -> FileReport:
    """Judge a file's functions, run in a child process.

    gates: the order of the gates' blocks if it isn't the course's. truncate: the gradient is to be cut off every so
    many steps. only: one assignment. Raises ValueError for impossible options.
    """
    report = FileReport(str(path), seed, gates, truncate)
    tasks = [task for task in chosen(gates, truncate).values() if only in (None, task.assignment, task.name)]
    if not tasks:
        raise ValueError(f"there is no assignment {only!r}")
    try:
        with File(path) as file:
            _judge_all(report, file, tasks, quick)
            if file.patched:
                report.problem = f"the file replaces {', '.join(file.patched)}: nothing it computes can be trusted"
    except CannotLoad as error:
        report.problem = str(error)
    if not report.problem and not report.judged and not any(f.status == "unfinished" for f in report.findings):
        wanted = ", ".join(task.forward for task in tasks)
        report.problem = f"none of the functions that can be judged is in it: {wanted}"
    return report


def _judge_all(report: FileReport, subject: Subject, tasks: list[Task], quick: bool) -> None:
    for task in tasks:
        if any(subject.has(name) for name in task.functions):
            report.findings.append(judge(subject, task, report.seed, quick))
    relate(report.findings)


def relate(findings: list[Finding]) -> None:
    """A wrong step explains a wrong sequence that is built on it."""
    wrong = {finding.task.name for finding in findings if finding.status == "wrong"}
    for finding in findings:
        if finding.task.sequence and finding.status == "wrong" and f"{finding.task.name}_step" in wrong:
            step = f"{finding.task.name}_step"
            finding.notes.append(f"{step} is wrong too: set that right first, this may then follow")


def sweep_file(path: Path, seed: int = 0, only: str | None = None) -> list[tuple[str, Sweep]]:
    """The error against the step of the difference, for each pair of functions of a file that has gradients.

    Raises CannotLoad if the file can't be loaded or none of its functions can be differentiated.
    """
    found = []
    with File(path) as file:
        for task in chosen(None, 0).values():
            if only not in (None, task.assignment, task.name) or not task.gradients:
                continue
            if all(file.has(name) for name in task.functions):
                drawn = _sweep(file, task, seed)
                found += [(task.name, drawn)] if drawn else []
    if not found:
        raise CannotLoad("nothing in it can be differentiated")
    return found


def _sweep(file: File, task: Task, seed: int) -> Sweep | None:
    given, into = problem(task, Probe("base"), seed, {})
    names = list(task.gradients.values())

    def forward(*values: Any) -> tuple[Any, ...]:
        seen = file.run(task, {**given, **dict(zip(names, values, strict=True))}, into)
        if seen.failure is not None:
            raise ValueError(str(seen.failure))
        return (*(seen.outputs or []), seen.gradients)

    try:
        upstream = into if len(into) > 1 else into[0]
        return sweep(
            forward,
            lambda *given: tuple(given[-1]),
            [given[n] for n in names],
            upstream=upstream,
            seed=seed,
            names=names,
        )
    except (ValueError, TypeError):
        return None
