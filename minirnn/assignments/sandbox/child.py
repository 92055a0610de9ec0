"""The process that runs a student's file: `python -m minirnn.assignments.sandbox.child FILE IN OUT`.

It reads requests from the file descriptor IN and answers on OUT (`wire.py`). Whatever the file prints goes where the
parent sent this process's stdout and stderr. This keeps mistakes from taking the checker down; it is no protection
against a file that means harm.
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

NAME = "student_file"
STDERR = 2  # the file descriptor: sys.stderr may have been replaced


class Loaded:
    """The file's functions, and what it replaced in NumPy."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.original = _public()
        self.functions: dict[str, Any] = {}

    def load(self) -> dict[str, Any]:
        """Run the file. -> its functions' names, or why it can't be loaded."""
        try:
            with open(self.path, encoding="utf-8") as file:
                source = file.read()
            code = compile(source, self.path, "exec")
            module = types.ModuleType(NAME)
            module.__file__ = self.path
            sys.modules[NAME] = module
            exec(code, module.__dict__)
        except SyntaxError as error:
            text = (error.text or "").strip()
            return {"problem": f"syntax error: {error.msg}", "line": error.lineno, "source": text}
        except UnicodeDecodeError as error:
            return {"problem": f"not UTF-8 text: {error.reason} at byte {error.start}", "line": None, "source": ""}
        except (Exception, SystemExit) as error:
            line, source = _line(error, self.path)
            return {"problem": f"it can't be imported: {type(error).__name__}: {error}", "line": line, "source": source}
        self.functions = {name: value for name, value in module.__dict__.items() if callable(value)}
        return {"functions": sorted(self.functions), "patched": self.patched()}

    def patched(self) -> list[str]:
        """NumPy's names that the file replaced; they are put back."""
        found = []
        for name, value in self.original.items():
            if np.__dict__.get(name) is not value:
                found.append(f"numpy.{name}")
                setattr(np, name, value)
        return sorted(found)

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """One observation."""
        seen = observe(self.functions, TASKS[request["task"]], request["given"], request["into"], request["careful"])
        answer = asdict(seen)
        if names := self.patched():
            answer["remarks"]["patched"] = names
        return answer


def _public() -> dict[str, Any]:
    return {name: value for name, value in vars(np).items() if not name.startswith("_") and callable(value)}


def _line(error: BaseException, path: str) -> tuple[int | None, str]:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return (frames[-1].lineno, frames[-1].line or "") if frames else (None, "")


def main() -> None:
    """Answer requests until the parent is gone."""
    path, requests, answers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    limit = float(sys.argv[4])
    os.set_inheritable(requests, False)
    os.set_inheritable(answers, False)
    loaded = Loaded(path)
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    wire.send(answers, {"ready": True})
    while True:
        try:
            request = wire.receive(requests)
        except wire.Closed:
            return
        faulthandler.dump_traceback_later(limit, file=STDERR)
        linecache.checkcache()
        answer = loaded.load() if request["do"] == "load" else loaded.run(request)
        faulthandler.cancel_dump_traceback_later()
        wire.send(answers, answer)


if __name__ == "__main__":
    main()
