"""A student's file in a child process with a time limit, so that its mistakes can't crash the checker."""

from __future__ import annotations

import contextlib
import linecache
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from minirnn.assignments.catalogue.tasks import Task
from minirnn.assignments.sandbox import wire
from minirnn.assignments.sandbox.observe import Failure, Observation

CALL_SECONDS = 10.0  # the limit for one call of forward and backward on arrays of a few dozen numbers
START_SECONDS = 120.0  # the limit for the start of the child process
GRACE_SECONDS = 2.0  # the time after a limit in which the child writes its stack
# The folders of minirnn and minirnn_kernels, for the child's sys.path.
ROOTS = [str(Path(__file__).resolve().parents[3]), str(Path(sys.modules["minirnn_kernels"].__path__[0]).parent)]


class CannotLoad(Exception):
    """The file can't be judged at all. The message gives the reason, and the line if there is one."""


class File:
    """The functions of a file, run by a child process. A `Subject` and a context manager."""

    def __init__(self, path: Path, limit: float = CALL_SECONDS) -> None:
        self.path, self.limit = path, limit
        self.functions: set[str] = set()
        self.patched: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> File:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop()

    def has(self, name: str) -> bool:
        """Return whether the file has a function of this name."""
        return name in self.functions

    def fresh(self) -> None:
        """Run the file again, in a new process if the last one has ended."""
        if self._process is None:
            self._start()
        else:
            self._load()

    def run(self, task: Task, given: Mapping[str, Any], into: list[Any], careful: bool = False) -> Observation:
        """Run a task's functions once. If the process ends or takes too long, the result is a Failure "stopped"."""
        if self._process is None:
            self._start()
        request = {"do": "run", "task": task.name, "given": dict(given), "into": into, "careful": careful}
        try:
            answer = self._ask(request)
        except wire.TooSlow:
            line, source, function = self._place()
            self._stop()
            text = f"ran for more than {self.limit:g} seconds and was stopped: is there an infinite loop?"
            return Observation(failure=Failure("stopped", function or task.forward, text, line, source))
        except (wire.Closed, ValueError):
            code = self._stop()
            text = f"the process ended during the call (exit code {code})"
            return Observation(failure=Failure("stopped", " or ".join(task.functions), text))
        failure = Failure(**answer["failure"]) if answer["failure"] else None
        self.patched = sorted({*self.patched, *answer["remarks"].get("patched", [])})
        return Observation(answer["outputs"], answer["gradients"], failure, answer["remarks"])

    # ---- the process

    def _start(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed by _stop
        child_in, self._requests = os.pipe()
        self._answers, child_out = os.pipe()
        arguments = [str(self.path), str(child_in), str(child_out), str(self.limit)]
        path = os.pathsep.join([*ROOTS, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "minirnn.assignments.sandbox.child", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(child_in, child_out),
            env={**os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg"},
        )
        os.close(child_in)
        os.close(child_out)
        wire.receive(self._answers, START_SECONDS)  # the limit doesn't include the start of Python and NumPy
        self._load()

    def _load(self) -> None:
        try:
            answer = self._ask({"do": "load"})
        except wire.TooSlow:
            line, source, _ = self._place()
            raise CannotLoad(_at(f"importing it takes more than {self.limit:g} seconds", line, source)) from None
        except (wire.Closed, ValueError):
            raise CannotLoad(f"importing it ends the process (exit code {self._stop()})") from None
        if "problem" in answer:
            raise CannotLoad(_at(answer["problem"], answer["line"], answer["source"]))
        self.functions = set(answer["functions"])
        self.patched = sorted({*self.patched, *answer["patched"]})

    def _ask(self, request: dict[str, Any]) -> Any:
        wire.send(self._requests, request)
        return wire.receive(self._answers, self.limit + GRACE_SECONDS)

    def _place(self) -> tuple[int | None, str, str]:
        """Return line, source and function of the file at which the child was at the limit, from the stack it wrote."""
        self._log.seek(0)
        text = self._log.read().decode(errors="replace")
        stack = text.rpartition("Timeout (")[2]
        frames = re.findall(r'File "([^"]*)", line (\d+) in (\S+)', stack)
        own = [(int(line), name) for file, line, name in frames if file == str(self.path)]
        if not own:
            return None, "", ""
        linecache.checkcache(str(self.path))
        (line, _), (_, function) = own[0], own[-1]
        return line, linecache.getline(str(self.path), line).strip(), function

    def _stop(self) -> int | None:
        """Stop the process. Return its exit code if it had already ended."""
        if self._process is None:
            return None
        for fd in (self._requests, self._answers):
            os.close(fd)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        code = self._process.poll()
        if code is None:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._log.close()
        return code


def _at(text: str, line: int | None, source: str) -> str:
    return f"{text} (line {line}: `{source.strip()}`)" if line else text
