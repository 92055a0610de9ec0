"""`minirnn assignments`: what can be checked, and files to start from."""

from __future__ import annotations

from pathlib import Path

from minirnn.assignments import TASKS
from minirnn.assignments.catalogue.templates import ASSIGNMENTS, start
from minirnn.language.training import ConfigError

__all__ = ["begin", "show"]


def show() -> None:
    """List the assignments with their functions."""
    for assignment in ASSIGNMENTS.values():
        print(f"{assignment.name}: {assignment.title}")
        for name in assignment.tasks:
            task = TASKS[name]
            print(f"    {task.signature()}")
            if task.backward:
                print(f"    {task.backward_signature()}")
        print(f"    check it: {assignment.command('FILE')}")
    print("minirnn assignments start NAME DIR writes a file to start from.")


def begin(name: str, folder: Path) -> None:
    """Write a template. Raise ConfigError if there is no such assignment or the file can't be written."""
    if name not in ASSIGNMENTS:
        raise ConfigError(f"there is no assignment {name!r}; there are {', '.join(ASSIGNMENTS)}")
    try:
        path = start(name, folder)
    except OSError as error:
        raise ConfigError(str(error)) from None
    print(f"written: {path}\ncheck it: {ASSIGNMENTS[name].command(str(path))}")
