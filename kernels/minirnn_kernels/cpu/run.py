"""Runs the work of a pass, in one thread or in several."""

from __future__ import annotations

import sys
import threading
from functools import cache
from typing import Any

import numba
import numpy as np
from numba import types

from minirnn_kernels.cpu import compilation, launch, sequence_pass, threads
from minirnn_kernels.cpu.launch import address
from minirnn_kernels.cpu.sequence_pass import JOB

Array = Any

_FORWARD = (sequence_pass.forward,)
_BACKWARD = (sequence_pass.backward_first, sequence_pass.backward_second)


@cache
def _work(which: str, dtype: Any) -> Array:
    """The addresses of a pass's stretches of work for this dtype, compiled if need be."""
    number = types.float32 if dtype == np.float32 else types.float64
    job = types.CPointer(numba.from_dtype(JOB))
    signature = types.void(types.int64, job, types.CPointer(number))
    stretches = _FORWARD if which == "forward" else _BACKWARD
    with _announced():
        return np.array([compilation.address(f, signature) for f in stretches])


class _announced:
    """Says, once in a process and only if it takes longer than a second, that a first use compiles."""

    said = False

    def __enter__(self) -> None:
        self.timer = threading.Timer(1.0, self.say)
        self.timer.daemon = True
        self.timer.start()

    def say(self) -> None:
        if not _announced.said:
            _announced.said = True
            print(
                "minirnn: compiling the CPU kernels, once on this machine; some 15 seconds, more on a busy one",
                file=sys.stderr,
            )

    def __exit__(self, *error: object) -> None:
        self.timer.cancel()


def run(which: str, dtype: Any, parts: int, **entries: Any) -> None:
    """Run the pass `which`. `entries` of the job are numbers or arrays."""
    alone = parts == 1 or threads.how_many() == 1
    if alone and entries["by_units"]:
        parts = 1
    entries |= {"parts": parts, "met": np.zeros(1, np.int64)}
    given = [entries.get(name, 0) for name in JOB.names or ()]
    job = np.array([address(value) if isinstance(value, np.ndarray) else value for value in given], np.int64)
    work = _work(which, dtype)
    if alone:
        launch.one(work, address(job), parts)
    else:
        with threads.turn:
            launch.several(work, address(job), parts)
