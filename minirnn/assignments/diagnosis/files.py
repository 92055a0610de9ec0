"""Judge a whole file: every pair of functions that the file defines, in the order of the course."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from minirnn.assignments.catalogue.tasks import Task, chosen
from minirnn.assignments.diagnosis.forwards import differentiable
from minirnn.assignments.diagnosis.judging import Finding, judge
from minirnn.assignments.diagnosis.probes import Probe, problem
from minirnn.assignments.sandbox.runner import CannotLoad, File
from minirnn.gradcheck import Sweep, sweep


@dataclass
class FileReport:
    """The findings for each task, in order. `problem` says why the file as a whole can't be judged, or is ""."""

    path: str
    seed: int
    gates: str | None
    truncate: int
    findings: list[Finding] = field(default_factory=list)
    problem: str = ""

    @property
    def statuses(self) -> set[str]:
        """All statuses of the findings."""
        return {finding.status for finding in self.findings}

    @property
    def exit_code(self) -> int:
        """0 if everything is right, 1 if something is wrong, 2 if something, or everything, can't be judged."""
        if "wrong" in self.statuses:
            return 1
        return 2 if self.problem or "broken" in self.statuses or "right" not in self.statuses else 0


def check_file(
    path: Path,
    seed: int = 0,
    gates: str | None = None,
    truncate: int = 0,
    quick: bool = False,
    only: str | None = None,
) -> FileReport:
    """Judge the functions of a file, which run in a child process.

    gates: the order of the gates' blocks, if it differs from that of the course. truncate: the number of steps after
    which the assignment cuts the gradient off; 0 for the full gradient. quick: see `judge`. only: the name of an
    assignment or a task. Raises ValueError for invalid options.
    """
    report = FileReport(str(path), seed, gates, truncate)
    tasks = _selected(gates, truncate, only)
    if not tasks:
        raise ValueError(f"there is no assignment {only!r}: see `minirnn assignments`")
    try:
        with File(path) as file:
            found = [task for task in tasks if any(file.has(name) for name in task.functions)]
            report.findings = [judge(file, task, seed, quick) for task in found]
            relate(report.findings)
            if file.patched:
                report.problem = f"the file replaces {', '.join(file.patched)}, so that no result can be trusted"
    except CannotLoad as error:
        report.problem = str(error)
    if not report.problem and not report.statuses & {"right", "wrong", "broken", "unfinished"}:
        wanted = ", ".join(task.forward for task in tasks)
        report.problem = f"the file defines none of the functions that can be judged: {wanted}"
    return report


def _selected(gates: str | None, truncate: int, only: str | None) -> list[Task]:
    return [task for task in chosen(gates, truncate).values() if only in (None, task.assignment, task.name)]


def relate(findings: list[Finding]) -> None:
    """Add a note to each wrong sequence function whose step function is wrong too."""
    wrong = {finding.task.name for finding in findings if finding.status == "wrong"}
    for finding in findings:
        step = f"{finding.task.name}_step"
        if finding.task.sequence and finding.status == "wrong" and step in wrong:
            finding.notes.append(f"{step} is wrong too: fix {step} first, which may fix {finding.task.name} as well")


def sweep_file(path: Path, seed: int = 0, only: str | None = None) -> list[tuple[str, Sweep]]:
    """Return the error against the step of the finite difference, for each pair of functions that has gradients.

    Raises CannotLoad if the file can't be loaded or none of its functions can be differentiated.
    """
    found = []
    with File(path) as file:
        for task in _selected(None, 0, only):
            if task.gradients and all(file.has(name) for name in task.functions):
                try:
                    arguments = differentiable(file, task, *problem(task, Probe("base"), seed, {}))
                    found.append((task.name, sweep(**arguments, seed=seed)))
                except (ValueError, TypeError):  # the functions fail, or return something else than gradients
                    continue
    if not found:
        raise CannotLoad("none of its functions can be differentiated")
    return found
