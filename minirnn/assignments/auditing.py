"""The audit: find the known mistakes that a file of tests doesn't detect.

The tests import a module with the functions of an assignment. The audit runs them in a child process with this module
replaced: first by the model answers, which they must accept, and then by each specimen of the gallery.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from minirnn.assignments.catalogue.gallery import Specimen, answers, section_of, specimens
from minirnn.assignments.sandbox.runner import ROOTS

TESTS_SECONDS = 120.0  # the limit for one run of the tests
SECTIONS = ("rnn", "lstm", "gru", "embedding", "softmax-loss", "attention", "clipping")

# The child's program: create the module so that `import` finds it, then run the tests.
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
    """The tests can't be audited. The message says why."""


@dataclass
class Audit:
    """The result of an audit."""

    found: list[Specimen] = field(default_factory=list)  # the specimens that make the tests fail
    passed: list[Specimen] = field(default_factory=list)  # the specimens that the tests accept
    untested: list[str] = field(default_factory=list)  # the sections whose functions the tests never call


def audit(tests: Path, module: str, progress: Callable[[str], None] = lambda text: None) -> Audit:
    """Run the tests of a file once for each specimen, which replaces the module of the given name.

    progress: called with the name of each specimen. Raises AuditError if the tests reject the model answers, or call
    none of their functions.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "planted.py"
        code, output = _run(tests, module, place, answers())
        if code != 0:
            raise AuditError(f"the tests reject the model answers (exit code {code}):\n{_tail(output)}")
        untested = [section for section in SECTIONS if _run(tests, module, place, _removed(section))[0] == 0]
        audited = Audit(untested=untested)
        if len(untested) == len(SECTIONS):
            raise AuditError(f"the tests call none of the functions in {module}: do they import a module of this name?")
        for specimen in specimens():
            if specimen.section not in untested:
                progress(specimen.name)
                failed = _run(tests, module, place, specimen.source)[0] != 0
                (audited.found if failed else audited.passed).append(specimen)
        return audited


def _removed(section: str) -> str:
    """Return the model answers, with functions that raise an error in one section."""
    part = section_of(answers(), section)
    return answers().replace(part, re.sub(r"(?m)^(def .*)$", r"\1\n    raise AssertionError('called')", part))


def _run(tests: Path, module: str, place: Path, source: str) -> tuple[int, str]:
    """Run the tests with this source as the module. Return the exit code and the output."""
    place.write_text(source, encoding="utf-8")
    path = os.pathsep.join([str(tests.resolve().parent), *ROOTS, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, module, str(place), str(tests.resolve())],
            capture_output=True,
            cwd=tests.resolve().parent,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            timeout=TESTS_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return -1, f"stopped after {TESTS_SECONDS:g} seconds"
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def _tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-12:])
