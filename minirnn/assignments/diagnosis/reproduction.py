"""Reproduce the smallest failing problem: print its arguments, and each gradient next to the right one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minirnn.assignments.catalogue.tasks import chosen
from minirnn.assignments.diagnosis.judging import Smallest, reduced
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
    """Run a pair of functions on a problem of the given sizes, and print each gradient next to the right one.

    task: the name of a task from `minirnn assignments`. zero: the arguments that are zero. factor: multiplies the
    upstream gradient. gates, truncate: see `check_file`. sizes: N, T, D, H, ...
    Raises KeyError for an unknown task, and CannotLoad if the file can't be loaded.
    """
    chosen_task = chosen(gates, truncate)[task]
    with File(Path(path)) as file:
        result = reduced(file, chosen_task, Smallest(sizes, tuple(zero), seed, factor))
    with np.printoptions(precision=9, suppress=True, linewidth=110):
        for name, value in result.given.items():
            print(f"{name} =\n{value}")
        if result.failure is not None:
            print(result.failure)
            return
        for k, name in enumerate(result.names):
            problem = malformation(result.seen[k], result.right[k])
            verdict = f"wrong: {problem}" if problem else "wrong" if result.wrong(k) else "right"
            print(f"\n{name} is {verdict}\nyour {name} =\n{result.seen[k]}\nright {name} =\n{result.right[k]}")
