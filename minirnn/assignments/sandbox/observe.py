"""One run of a student's pair of functions, with everything that can be observed from outside.

`observe` calls forward and backward on copies and catches the exceptions that they raise. If `careful`, it calls them
again to see what they changed in place, and whether a second call gives the same results. It doesn't judge numbers. It
runs in the process of the student's code: this one or a child process (`child.py`).
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol

import numpy as np

from minirnn.assignments.catalogue.tasks import Task

Array = np.ndarray


@dataclass(frozen=True)
class Failure:
    """The reason why a call has no results to judge.

    kind: "missing" (there is no such function), "unfinished" (a stub), "raised" (an exception), "count" (the wrong
    number of results), "stopped" (the process ended or ran out of time).
    """

    kind: str
    function: str
    message: str
    line: int | None = None
    source: str = ""

    def __str__(self) -> str:
        source = f": `{self.source}`" if self.source else ""
        place = f" (line {self.line}{source})" if self.line else ""
        return f"{self.function}: {self.message}{place}"


@dataclass
class Observation:
    """The results of one run."""

    outputs: list[Any] | None = None  # arrays of any dtype, or None for a result that is None
    gradients: list[Any] | None = None  # the same for the gradients
    failure: Failure | None = None
    remarks: dict[str, Any] = field(default_factory=dict)  # see `observe`


class Subject(Protocol):
    """A student's functions, in this process or in another."""

    def has(self, name: str) -> bool:
        """Return whether there is a function of this name."""

    def run(self, task: Task, given: Mapping[str, Any], into: list[Any], careful: bool = False) -> Observation:
        """Run a task's functions once."""

    def fresh(self) -> None:
        """Load the functions again, without any state of earlier calls."""


class Functions:
    """Functions in this process.

    load: returns the functions with fresh state. Without `load`, the functions must not keep state between calls.
    """

    def __init__(self, functions: Mapping[str, Any], load: Callable[[], Mapping[str, Any]] | None = None) -> None:
        self.functions, self.load = functions, load

    def has(self, name: str) -> bool:
        """Return whether there is a function of this name."""
        return callable(self.functions.get(name))

    def run(self, task: Task, given: Mapping[str, Any], into: list[Any], careful: bool = False) -> Observation:
        """Run a task's functions once."""
        return observe(self.functions, task, given, into, careful)

    def fresh(self) -> None:
        """Load the functions again, if there is a `load`."""
        if self.load is not None:
            self.functions = self.load()


def observe(
    functions: Mapping[str, Any], task: Task, given: Mapping[str, Any], into: list[Any], careful: bool = False
) -> Observation:
    """Run the task's functions on copies of the arguments `given` and of the upstream gradients `into`.

    Remarks, if `careful`:

        inputs changed, upstream changed    the names of the arguments that were changed in place
        forward differs                     two calls of forward on the same inputs differ
        same cache differs                  a second backward on the same cache differs
        cache used up                       a second backward on the same cache fails
        second call                         the factor of the results of a second forward and backward, if these differ;
                                            nan if there is no common factor
        second differs                      the names of the results that differ in the second call
        aliases                             pairs of results that share memory
        warnings                            the texts of warnings
    """
    seen = Observation()
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            _run(_Pair(functions, task), given, into, careful, seen)
        except _Failed as failed:
            seen.failure = failed.failure
    if careful and caught:
        seen.remarks["warnings"] = sorted({str(w.message)[:200] for w in caught})[:3]
    return seen


class _Failed(Exception):
    def __init__(self, kind: str, function: str, message: str, line: int | None = None, source: str = "") -> None:
        self.failure = Failure(kind, function, message, line, source)
        super().__init__(str(self.failure))


@dataclass(frozen=True)
class _Pair:
    """A task and the functions to run. Both methods raise _Failed if there is nothing to judge."""

    functions: Mapping[str, Any]
    task: Task

    def forward(self, given: Mapping[str, Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Return the outputs, the gradients (if forward returns them too), and the cache, if any, as a list."""
        task = self.task
        result = _call(self.functions, task.forward, list(given.values()))
        if not task.combined and task.backward is None:
            nested = isinstance(result, tuple) and result and isinstance(result[0], list | tuple)
            parts = result[0] if nested else result
            _require_written(task.forward, [parts])
            return _arrays(parts.values() if isinstance(parts, dict) else parts), [], []
        names = [*task.outputs, *(task.gradients if task.combined else ["cache"])]
        parts = _several(task.forward, result, names)
        outputs, rest = parts[: len(task.outputs)], parts[len(task.outputs) :]
        if task.combined:
            return _arrays(outputs), _arrays(rest), []
        _require_written(task.forward, outputs)
        return _arrays(outputs), [], rest

    def backward(self, into: list[Any], cache: list[Any]) -> list[Any]:
        """Return the gradients as the student's function returns them."""
        name = str(self.task.backward)
        return _several(name, _call(self.functions, name, [*into, *cache]), list(self.task.gradients))


def _run(pair: _Pair, given: Mapping[str, Any], into: list[Any], careful: bool, seen: Observation) -> None:
    """Run the functions and write the results into `seen`, as far as they get."""
    task, remarks = pair.task, seen.remarks
    arguments, upstream = copies(given), copy_list(into)
    seen.outputs, gradients, cache = pair.forward(arguments)
    if careful:
        remarks["inputs changed"] = _changed(given, arguments)
    if task.backward is None:
        seen.gradients = gradients
        if careful:
            remarks["forward differs"] = not _same(pair.forward(copies(given))[0], seen.outputs)
        return
    raw = pair.backward(upstream, cache)
    seen.gradients = _arrays(raw)
    if careful:
        remarks["inputs changed"] = sorted({*remarks["inputs changed"], *_changed(given, arguments)})
        names = ["d" + name for name in task.outputs]
        remarks["upstream changed"] = _changed(
            dict(zip(names, into, strict=True)), dict(zip(names, upstream, strict=True))
        )
        arrays = [
            (name, g) for name, g in zip(task.gradients, raw, strict=True) if isinstance(g, np.ndarray) and g.size
        ]
        remarks["aliases"] = [f"{a} and {b}" for (a, x), (b, y) in combinations(arrays, 2) if np.shares_memory(x, y)]
        outputs, _, cache = pair.forward(copies(given))
        remarks["forward differs"] = not _same(outputs, seen.outputs)
        _repeat_backward(pair, into, cache, seen.gradients, remarks)


def _repeat_backward(pair: _Pair, into: list[Any], cache: list[Any], first: list[Any], remarks: dict[str, Any]) -> None:
    """Call backward twice on a fresh cache, and compare the results with those of the first run."""
    second = _arrays(pair.backward(copy_list(into), cache))
    if not _same(second, first):
        remarks["second call"] = _factor(second, first)
        pairs = zip(pair.task.gradients, second, first, strict=True)
        remarks["second differs"] = [name for name, new, old in pairs if not _equal(new, old)]
    try:
        remarks["same cache differs"] = not _same(_arrays(pair.backward(copy_list(into), cache)), second)
    except _Failed:
        remarks["cache used up"] = True


def _require_written(function: str, parts: list[Any]) -> None:
    if all(part is None for part in parts):
        raise _Failed("unfinished", function, "returned None: not written yet")


def _several(function: str, result: Any, wanted: list[str]) -> list[Any]:
    """Return the results as a list, or raise _Failed if their number is wrong."""
    several = isinstance(result, tuple | list)
    parts = list(result) if several else [result]
    _require_written(function, parts)
    if len(wanted) == 1 and len(parts) != 1:
        parts = [result]
    if len(parts) != len(wanted):
        got = f"{len(parts)} results" if several else f"one {type(result).__name__}"
        raise _Failed("count", function, f"returned {got}, expected {len(wanted)}: {', '.join(wanted)}")
    return parts


def _call(functions: Mapping[str, Any], name: str, arguments: list[Any]) -> Any:
    function = functions.get(name)
    if not callable(function):
        raise _Failed("missing", name, "there is no such function")
    try:
        return function(*arguments)
    except NotImplementedError:
        raise _Failed("unfinished", name, "not written yet (NotImplementedError)") from None
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
        own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
        line, source = (own[-1].lineno, own[-1].line or "") if own else (None, "")
        text = f"raised {type(error).__name__}: {str(error)[:300]}"
        raise _Failed("raised", name, text, line, source) from None


def copies(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping with copies of all arrays and lists of arrays."""
    return {name: _copy(value) for name, value in given.items()}


def copy_list(values: list[Any]) -> list[Any]:
    """Return the list with copies of all arrays and lists of arrays."""
    return [_copy(value) for value in values]


def _copy(value: Any) -> Any:
    if isinstance(value, list):
        return [np.array(part) for part in value]
    return np.array(value) if isinstance(value, np.ndarray) else value


def _arrays(values: Iterable[Any]) -> list[Any]:
    """Return copies of the results as arrays; None stays None. A ragged list becomes an array of dtype object."""
    found: list[Any] = []
    for value in values:
        try:
            found.append(None if value is None else np.array(value))
        except ValueError:  # ragged
            found.append(np.array(None, dtype=object))
    return found


def _changed(given: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[str]:
    """Return the names of the arguments that differ from the given ones."""
    return [name for name in given if not _equal(given[name], arguments[name])]


def _equal(a: Any, b: Any) -> bool:
    """Return whether two values have the same type, dtype, shape and values. nan equals nan."""
    if isinstance(a, list):
        return _same(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        alike = a.shape == b.shape and a.dtype == b.dtype
        return alike and (a.dtype == object or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    return type(a) is type(b) and bool(a == b)


def _same(a: list[Any], b: list[Any]) -> bool:
    """Return whether two lists of results are equal."""
    return len(a) == len(b) and all(map(_equal, a, b))


def _factor(second: list[Any], first: list[Any]) -> float:
    """Return the common factor of all results that differ, or nan if there is none."""
    factors = []
    for a, b in zip(second, first, strict=True):
        if a is None or b is None or a.shape != b.shape or a.dtype.kind not in "fiu" or _equal(a, b):
            continue
        size = float(np.sum(b * b))
        rho = float(np.sum(a * b)) / size if size else float("nan")
        factors.append(rho if np.allclose(a, rho * b, rtol=1e-6, atol=1e-9 * np.sqrt(size)) else float("nan"))
    return factors[0] if factors and max(factors) - min(factors) < 1e-6 else float("nan")
