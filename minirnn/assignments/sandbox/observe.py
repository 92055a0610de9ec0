"""One run of a student's pair of functions, and everything that can be seen around it.

`observe` calls forward and backward on copies, catches what they raise, and, when asked to be careful, calls them
again to find out what they changed and whether they answer twice alike. It judges no numbers. It runs where the
student's code runs: in this process or in a child (`child.py`).
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from minirnn.assignments.catalogue.tasks import Task

Array = np.ndarray


@dataclass(frozen=True)
class Failure:
    """Why a call gave nothing to judge.

    kind: "missing" (no such function), "unfinished" (a stub), "raised", "count" (another number of results than
    agreed), "stopped" (the process ended or ran out of time).
    """

    kind: str
    function: str
    message: str
    line: int | None = None
    source: str = ""

    def __str__(self) -> str:
        place = f" (line {self.line}: `{self.source}`)" if self.line and self.source else ""
        place = place or (f" (line {self.line})" if self.line else "")
        return f"{self.function}: {self.message}{place}"


@dataclass
class Observation:
    """Outputs and gradients as they came (None, or an array of whatever dtype), and remarks: see `observe`."""

    outputs: list[Any] | None = None
    gradients: list[Any] | None = None
    failure: Failure | None = None
    remarks: dict[str, Any] = field(default_factory=dict)


class Subject(Protocol):
    """Somebody's functions, wherever they run."""

    def has(self, name: str) -> bool:
        """Whether there is a function of this name."""

    def run(self, task: Task, given: Mapping[str, Any], into: list[Any], careful: bool = False) -> Observation:
        """One observation."""

    def fresh(self) -> None:
        """Load the functions anew, so that nothing is left of earlier calls."""


class Functions:
    """Functions of this process. `load` gives them anew; without it they are taken to keep nothing."""

    def __init__(self, functions: Mapping[str, Any], load: Callable[[], Mapping[str, Any]] | None = None) -> None:
        self.functions, self.load = functions, load

    def has(self, name: str) -> bool:
        return callable(self.functions.get(name))

    def run(self, task: Task, given: Mapping[str, Any], into: list[Any], careful: bool = False) -> Observation:
        return observe(self.functions, task, given, into, careful)

    def fresh(self) -> None:
        if self.load is not None:
            self.functions = self.load()


class _Failed(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def observe(
    functions: Mapping[str, Any], task: Task, given: Mapping[str, Any], into: list[Any], careful: bool = False
) -> Observation:
    """Run `task`'s functions on copies of `given` and of the upstream gradients `into`.

    Remarks, where careful:

        inputs changed, upstream changed    names of what was changed in place
        forward differs                     two forwards on the same inputs differ
        same cache differs                  a second backward on one cache differs; "cache used up": it fails
        second call, second differs         the factor by which a wholly fresh second call differs (nan: no one factor),
                                            and where
        aliases                             pairs of results that share memory
        warnings                            texts
    """
    seen = Observation()
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            _run(functions, task, given, into, careful, seen)
        except _Failed as failed:
            seen.failure = failed.failure
    if careful and caught:
        seen.remarks["warnings"] = sorted({str(w.message)[:200] for w in caught})[:3]
    return seen


def _run(
    functions: Mapping[str, Any],
    task: Task,
    given: Mapping[str, Any],
    into: list[Any],
    careful: bool,
    seen: Observation,
) -> None:
    arguments = copies(given)
    result = _call(functions, task.forward, list(arguments.values()))
    seen.outputs, gradients, cache = _split(task, result)
    if careful:
        seen.remarks["inputs changed"] = _changed(given, arguments)
    if task.backward is None:
        seen.gradients = gradients
        if careful:
            again = _call(functions, task.forward, list(copies(given).values()))
            seen.remarks["forward differs"] = not _same(_split(task, again)[0], seen.outputs)
        return
    upstream = [np.array(u) for u in into]
    result = _call(functions, task.backward, [*upstream, *cache])
    raw = _several(task, task.backward, result, list(task.gradients))
    seen.gradients = [_taken(g) for g in raw]
    if careful:
        _look_around(functions, task, given, into, seen, (arguments, upstream, cache, raw))


def _look_around(
    functions: Mapping[str, Any],
    task: Task,
    given: Mapping[str, Any],
    into: list[Any],
    seen: Observation,
    ran: tuple[dict[str, Any], list[Array], list[Any], list[Any]],
) -> None:
    """What the first run changed, and what a second one says."""
    assert task.backward is not None
    arguments, upstream, cache, raw = ran
    remarks = seen.remarks
    remarks["inputs changed"] = sorted({*remarks["inputs changed"], *_changed(given, arguments)})
    names = ["d" + name for name in task.outputs]
    remarks["upstream changed"] = [n for n, u, v in zip(names, into, upstream, strict=True) if not _equal(u, v)]
    labels = list(task.gradients)
    arrays = [(label, g) for label, g in zip(labels, raw, strict=True) if isinstance(g, np.ndarray) and g.size]
    remarks["aliases"] = [
        f"{a} and {b}" for n, (a, x) in enumerate(arrays) for b, y in arrays[n + 1 :] if np.shares_memory(x, y)
    ]
    result = _call(functions, task.forward, list(copies(given).values()))
    outputs, _, cache = _split(task, result)
    remarks["forward differs"] = not _same(outputs, seen.outputs or [])
    second = _several(task, task.backward, _call(functions, task.backward, [*copy_list(into), *cache]), labels)
    second = [_taken(g) for g in second]
    if not _same(second, seen.gradients or []):
        remarks["second call"] = _factor(second, seen.gradients or [])
        pairs = zip(labels, second, seen.gradients or [], strict=True)
        remarks["second differs"] = [label for label, new, old in pairs if not _same([new], [old])]
    try:
        third = _several(task, task.backward, _call(functions, task.backward, [*copy_list(into), *cache]), labels)
        remarks["same cache differs"] = not _same(list(third), second)
    except _Failed:
        remarks["cache used up"] = True


def _split(task: Task, result: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """-> outputs, gradients (if one function returns both), cache."""
    if task.combined:
        parts = _several(task, task.forward, result, [*task.outputs, *task.gradients])
        return [_taken(parts[0])], [_taken(part) for part in parts[1:]], []
    if task.backward is None:
        listed = result[0] if isinstance(result, tuple) and result and isinstance(result[0], list | tuple) else result
        if isinstance(listed, dict):
            listed = list(listed.values())
        if listed is None:
            raise _Failed(Failure("unfinished", task.forward, "returned None: not written yet"))
        return [_taken(part) for part in listed], [], []
    wanted = [*task.outputs, "cache"]
    parts = _several(task, task.forward, result, wanted)
    if all(part is None for part in parts[:-1]):
        raise _Failed(Failure("unfinished", task.forward, "returned None: not written yet"))
    return [_taken(part) for part in parts[:-1]], [], [parts[-1]]


def _several(task: Task, function: str, result: Any, wanted: list[str]) -> list[Any]:
    """The results as a list of the agreed number; _Failed otherwise."""
    parts = list(result) if isinstance(result, tuple | list) else [result]
    if all(part is None for part in parts):
        raise _Failed(Failure("unfinished", function, "returned None: not written yet"))
    if len(wanted) == 1 and len(parts) != 1:
        parts = [result]
    if len(parts) != len(wanted):
        got = f"{len(parts)} results" if isinstance(result, tuple | list) else f"one {type(result).__name__}"
        raise _Failed(Failure("count", function, f"returned {got}, expected {len(wanted)}: {', '.join(wanted)}"))
    return parts


def _call(functions: Mapping[str, Any], name: str, arguments: list[Any]) -> Any:
    function = functions.get(name)
    if not callable(function):
        raise _Failed(Failure("missing", name, "there is no such function"))
    try:
        return function(*arguments)
    except NotImplementedError:
        raise _Failed(Failure("unfinished", name, "not written yet (NotImplementedError)")) from None
    except (Exception, SystemExit) as error:
        raise _Failed(failure(name, error)) from None


def failure(name: str, error: BaseException) -> Failure:
    """What a function raised, and the line of the student's file in which it did."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename not in _OURS]
    inside = [frame for frame in own if "site-packages" not in frame.filename] or own
    line, source = (inside[-1].lineno, inside[-1].line or "") if inside else (None, "")
    return Failure("raised", name, f"raised {type(error).__name__}: {str(error)[:300]}", line, source)


_OURS = (__file__,)


def copies(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fresh arrays, lists of fresh arrays, anything else as it is."""
    return {name: _copy(value) for name, value in given.items()}


def copy_list(values: list[Any]) -> list[Any]:
    return [_copy(value) for value in values]


def _copy(value: Any) -> Any:
    if isinstance(value, list):
        return [np.array(part) for part in value]
    return np.array(value) if isinstance(value, np.ndarray) else value


def _taken(value: Any) -> Any:
    """A result as an array of its own; None stays None. What is no array becomes one of dtype object."""
    if value is None:
        return None
    try:
        return np.array(value)
    except ValueError:  # ragged
        return np.array(None, dtype=object)


def _changed(given: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[str]:
    return [name for name in given if not _equal(given[name], arguments[name])]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return all(_equal(x, y) for x, y in zip(a, b, strict=False)) and len(a) == len(b)
    if isinstance(a, np.ndarray):
        if not isinstance(b, np.ndarray) or a.shape != b.shape or a.dtype != b.dtype:
            return False
        return a.dtype == object or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    return bool(a == b)


def _same(a: list[Any], b: list[Any]) -> bool:
    """Equal results of two runs, nan being equal to itself."""
    return len(a) == len(b) and all(_equal(_taken(x), _taken(y)) for x, y in zip(a, b, strict=True))


def _factor(second: list[Any], first: list[Any]) -> float:
    """The one factor between the results that differ; nan if there is none."""
    factors = []
    for x, y in zip(second, first, strict=True):
        a, b = _taken(x), _taken(y)
        if a is None or b is None or a.shape != b.shape or a.dtype.kind not in "fiu" or _equal(a, b):
            continue
        size = float(np.sum(b * b))
        rho = float(np.sum(a * b)) / size if size else float("nan")
        factors.append(rho if np.allclose(a, rho * b, rtol=1e-6, atol=1e-9 * np.sqrt(size)) else float("nan"))
    return factors[0] if factors and max(factors) - min(factors) < 1e-6 else float("nan")
