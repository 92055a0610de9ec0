"""The process that runs a student's file: `python -m minirnn.assignments.sandbox.child FILE IN OUT LIMIT`.

It reads requests from the file descriptor IN and writes answers to the file descriptor OUT (`wire.py`). After LIMIT
seconds in one request, it writes its stack to stderr. The parent redirects the stdout and stderr of this process, and
with them the output of the file. A mistake in the file can't crash the checker. There is no protection against a
malicious file.
"""

from __future__ import annotations

import faulthandler
import linecache
import os
import sys
import traceback
import types
from dataclasses import asdict
from typing import Any

import numpy as np

from minirnn.assignments.catalogue.tasks import TASKS
from minirnn.assignments.sandbox import wire
from minirnn.assignments.sandbox.observe import observe

MODULE = "student_file"
STDERR = 2  # the file descriptor; the file may have replaced sys.stderr


class StudentFile:
    """The functions of the file, and a record of NumPy's functions, which the file must not replace."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.original = {name: value for name, value in vars(np).items() if name[0] != "_" and callable(value)}
        self.functions: dict[str, Any] = {}

    def load(self) -> dict[str, Any]:
        """Run the file. Return the names of its functions, or the reason why it can't be loaded."""
        try:
            with open(self.path, encoding="utf-8") as file:
                source = file.read()
            code = compile(source, self.path, "exec")
            module = types.ModuleType(MODULE)
            module.__file__ = self.path
            sys.modules[MODULE] = module
            exec(code, module.__dict__)
        except SyntaxError as error:
            text = (error.text or "").strip()
            return {"problem": f"syntax error: {error.msg}", "line": error.lineno, "source": text}
        except UnicodeDecodeError as error:
            return {"problem": f"not UTF-8 text: {error.reason} at byte {error.start}", "line": None, "source": ""}
        except (Exception, SystemExit) as error:
            frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.path]
            line, source = (frames[-1].lineno, frames[-1].line or "") if frames else (None, "")
            return {
                "problem": f"the file can't be imported: {type(error).__name__}: {error}",
                "line": line,
                "source": source,
            }
        self.functions = {name: value for name, value in module.__dict__.items() if callable(value)}
        return {"functions": sorted(self.functions), "patched": self.patched()}

    def patched(self) -> list[str]:
        """Restore the functions of NumPy that the file replaced, and return their names."""
        replaced = {name: value for name, value in self.original.items() if vars(np).get(name) is not value}
        for name, value in replaced.items():
            setattr(np, name, value)
        return sorted(f"numpy.{name}" for name in replaced)

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the observation of one run, as a dict."""
        seen = observe(self.functions, TASKS[request["task"]], request["given"], request["into"], request["careful"])
        answer = asdict(seen)
        if names := self.patched():
            answer["remarks"]["patched"] = names
        return answer


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    path, requests, answers, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    os.set_inheritable(requests, False)
    os.set_inheritable(answers, False)
    student = StudentFile(path)
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    wire.send(answers, {"ready": True})
    while True:
        try:
            request = wire.receive(requests)
        except wire.Closed:
            return
        faulthandler.dump_traceback_later(limit, file=STDERR)
        linecache.checkcache()
        answer = student.load() if request["do"] == "load" else student.run(request)
        faulthandler.cancel_dump_traceback_later()
        wire.send(answers, answer)


if __name__ == "__main__":
    main()
