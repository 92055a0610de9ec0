"""`minirnn assignments`: the list of the assignments, and files to start with."""

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
        for task in map(TASKS.__getitem__, assignment.tasks):
            print(f"    {task.signature()}")
            if task.backward:
                print(f"    {task.backward_signature()}")
        print(f"    check it: {assignment.command('FILE')}")
    print("minirnn assignments start NAME DIR writes a file to start with.")


def begin(name: str, folder: Path) -> None:
    """Write a template. Raises ConfigError for an unknown assignment or a file that can't be written."""
    if name not in ASSIGNMENTS:
        raise ConfigError(f"there is no assignment {name!r}; choose one of {', '.join(ASSIGNMENTS)}")
    try:
        path = start(name, folder)
    except OSError as error:
        raise ConfigError(str(error)) from None
    print(f"written: {path}\ncheck it: {ASSIGNMENTS[name].command(str(path))}")
