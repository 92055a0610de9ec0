"""Which of the known mistakes would somebody's tests let through?

The tests import a module of the student's functions. They are run against the model answers, which they must accept,
and then once for each mistake of the gallery with that module replaced, each time in a child process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from minirnn.assignments.catalogue.gallery import Specimen, answers, specimens
from minirnn.assignments.sandbox.runner import ROOTS

LIMIT = 120.0  # seconds for one run of the tests
SECTIONS = ("rnn", "lstm", "gru", "embedding", "softmax-loss", "attention", "clipping")

# Runs in the child: puts the module where `import` finds it, then the tests.
_PROGRAM = """
import importlib, runpy, sys, types
name, source, tests = sys.argv[1:]
module = types.ModuleType(name)
module.__file__ = source
sys.modules[name] = module
with open(source, encoding="utf-8") as file:
    exec(compile(file.read(), source, "exec"), module.__dict__)
parent, _, child = name.rpartition(".")
if parent:
    try:
        setattr(importlib.import_module(parent), child, module)
    except ImportError:
        part = ""
        for word in parent.split("."):
            part = f"{part}.{word}".lstrip(".")
            sys.modules.setdefault(part, types.ModuleType(part)).__path__ = []
        setattr(sys.modules[parent], child, module)
try:
    import pytest
except ImportError:
    runpy.run_path(tests, run_name="__main__")
else:
    sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", tests]))
"""


class AuditError(Exception):
    """The tests can't be audited; the message says why."""


@dataclass
class Audit:
    """What the tests found and what they let through; `untested` are sections whose functions they never call."""

    found: list[Specimen] = field(default_factory=list)
    passed: list[Specimen] = field(default_factory=list)
    untested: list[str] = field(default_factory=list)


def audit(tests: Path, module: str, progress: Callable[[str], None] = lambda text: None) -> Audit:
    """Run the tests of a file against every mistake of the gallery in `module`'s place.

    Raises AuditError if the tests don't accept the model answers, or call none of their functions.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "planted.py"
        code, output = _run(tests, module, place, answers())
        if code != 0:
            raise AuditError(f"the tests reject the model answers (exit code {code}):\n{_tail(output)}")
        audited = Audit()
        for section in SECTIONS:
            if _run(tests, module, place, _removed(section))[0] == 0:
                audited.untested.append(section)
        if len(audited.untested) == len(SECTIONS):
            raise AuditError(f"the tests call none of the functions in {module}: do they import a module of this name?")
        for specimen in specimens():
            if specimen.section in audited.untested:
                continue
            progress(specimen.name)
            failed = _run(tests, module, place, specimen.source)[0] != 0
            (audited.found if failed else audited.passed).append(specimen)
        return audited


def _removed(section: str) -> str:
    """The model answers with a section's functions gone wrong altogether."""
    text = answers()
    start = text.index(f"# ---- {section}\n")
    end = text.find("# ---- ", start + 5)
    part = text[start : end if end > 0 else len(text)]
    lines = []
    for line in part.splitlines():
        lines.append(line)
        if line.startswith("def "):
            lines.append("    raise AssertionError('called')")
    return text.replace(part, "\n".join(lines) + "\n")


def _run(tests: Path, module: str, place: Path, source: str) -> tuple[int, str]:
    place.write_text(source, encoding="utf-8")
    path = os.pathsep.join([str(tests.resolve().parent), *ROOTS, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, module, str(place), str(tests.resolve())],
            capture_output=True,
            cwd=tests.resolve().parent,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        return -1, f"stopped after {LIMIT:g} seconds"
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def _tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-12:])
