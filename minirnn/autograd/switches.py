"""The two switches of the engine: whether operations are recorded (`no_grad`), and whether they are watched for
non-finite gradients (`detect_anomaly`). Each thread and each asyncio task has its own setting.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

import numpy as np

recording: ContextVar[bool] = ContextVar("recording", default=True)
watching: ContextVar[bool] = ContextVar("watching", default=False)
_entered: ContextVar[tuple[Token[bool], ...]] = ContextVar("entered", default=())


@contextmanager
def switched(switch: ContextVar[bool], value: bool) -> Iterator[None]:
    """Set a switch for the duration of a `with` block."""
    token = switch.set(value)
    try:
        yield
    finally:
        switch.reset(token)


class _Switch:
    """Base of a context manager that also works as a decorator. One instance can be entered several times."""

    switch: ContextVar[bool]
    value: bool

    def __enter__(self) -> None:
        _entered.set((*_entered.get(), self.switch.set(self.value)))

    def __exit__(self, *error: object) -> None:
        *outer, token = _entered.get()
        _entered.set(tuple(outer))
        self.switch.reset(token)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import inspect  # imported here because it would add milliseconds to `import minirnn`

        suspends = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
        if any(test(function) for test in suspends):
            raise TypeError(
                f"{type(self).__name__} can't decorate {function.__name__}, which suspends: use `with` in its body"
            )
        return switched(self.switch, self.value)(function)


class no_grad(_Switch):
    """Switch recording off: `with minirnn.no_grad(): ...`, or `@minirnn.no_grad()` above a function.

    Operations on Tensors build no graph, and their results do not require grad.
    """

    switch, value = recording, False


class detect_anomaly(_Switch):
    """Find the operation that makes the first non-finite gradient. Use it like `no_grad`; it slows operations down.

    The backward pass stops with a FloatingPointError at the first operation that turns a finite gradient into a
    non-finite one. The message names the operation, its shapes, and the line of the program that called it.
    """

    switch, value = watching, True


def is_grad_enabled() -> bool:
    """Return True if operations on Tensors are recorded."""
    return recording.get()


_OURS = tuple(os.path.join(os.path.dirname(file), "") for file in (os.path.dirname(__file__), np.__file__))


def calling_line() -> str:
    """Return the innermost line of the call stack that is outside minirnn and NumPy, as "file:number: source"."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    file, number = frame.f_code.co_filename, frame.f_lineno
    return f"{file}:{number}: {linecache.getline(file, number).strip()}"
