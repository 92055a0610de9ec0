"""The smallest failing problem again, for the student to look at: both gradients, printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minirnn.assignments.catalogue.tasks import chosen
from minirnn.assignments.diagnosis.judging import reduced
from minirnn.assignments.diagnosis.places import malformation
from minirnn.assignments.sandbox.runner import File


def reproduce(
    path: str | Path,
    task: str,
    *,
    zero: Sequence[str] = (),
    seed: int = 0,
    factor: float = 1.0,
    gates: str | None = None,
    truncate: int = 0,
    **sizes: int,
) -> None:
    """Run a file's pair of functions on a problem of the given sizes, and print each gradient beside the right one.

    task: a name from `minirnn assignments`. zero: arguments that are zero. factor: on the
    upstream gradient. sizes: N, T, D, H, ... Raises KeyError for
    an unknown task, CannotLoad if the file can't be loaded.
    """
    chosen_task = chosen(gates, truncate)[task]
    with File(Path(path)) as file:
        case = reduced(file, chosen_task, sizes, tuple(zero), seed, factor)
    with np.printoptions(precision=9, suppress=True, linewidth=110):
        for name, value in case.given.items():
            print(f"{name} =\n{value}")
        if case.failure is not None:
            print(case.failure)
            return
        for k, name in enumerate(case.names):
            problem = malformation(case.seen[k], case.right[k])
            word = "wrong" if case.wrong(k) else "right"
            print(f"{name} is {word}{': ' + problem if problem else ''}; yours and the right one:")
            print(case.seen[k])
            print(case.right[k])
