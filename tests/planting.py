"""Planted errors: wrong code, one error at a time, that a test suite or the gradient check must find.

`replaced` plants an error in a text; `survivors` runs over all errors of a kind and reports which ones are not found.
"""

import time
from collections.abc import Iterable
from typing import Any


def replaced(text: str, old: str, new: str, *, nth: int | None = None, where: str = "the text") -> str:
    """Return a text with `old` replaced by `new`: the nth occurrence, counted from 1, or all of them if nth is None.

    Raises ValueError, which mentions `where`, if there are fewer occurrences.
    """
    count = text.count(old)
    if count < (nth or 1):
        raise ValueError(f"{where}: expected at least {nth or 1} occurrences of {old!r}, found {count}")
    if nth is None:
        return text.replace(old, new)
    parts = text.split(old)
    return old.join(parts[:nth]) + new + old.join(parts[nth:])


def survivors(found: Iterable[tuple[Any, str | None]], width: int) -> int:
    """Print each planted error with what found it, in two columns, and a summary; return how many were not found.

    found: (error, the test that found it and its message; empty if none did), computed while it is iterated over.
    """
    start, count, survived = time.perf_counter(), 0, 0
    for error, finder in found:
        count += 1
        survived += not finder
        print(f"{error!s:{width}} {finder or 'SURVIVED'}", flush=True)
    print(f"{count} errors planted, {survived} survived, {time.perf_counter() - start:.0f} s")
    return survived
