"""Errors planted in the derivatives of the engine, and the judges of operations/judges.py that find them.

There are three kinds of error; one error is planted at a time:

* `wrong`: one vector-Jacobian product of one primitive is multiplied by 1.01;
* `cut`: the product is computed from detached values, so that first derivatives are correct and second derivatives lack
  a term;
* `bent`: the value of a composed function is correct, and its gradient is multiplied by 1.01.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from minirnn import Tensor
from minirnn.autograd.graph import RULES, name_of
from minirnn.autograd.tensor import FUNCTIONS
from tests.autograd.operations.cases import CASES, OpCase
from tests.autograd.operations.draw import Draw
from tests.autograd.operations.judges import JUDGES, first, second

FACTOR = 1.01
SEEDS = range(8)  # draws per case: they show which rules the case reaches, and judge a planted error


class PlantingPlace(NamedTuple):
    """The place of a planted error: a rule of the table (`argument` >= 0), or a composed function."""

    kind: str
    fn: Callable[..., Any]
    argument: int

    def __str__(self) -> str:
        where = f"argument {self.argument}" if self.argument >= 0 else "composed"
        return f"{name_of(self.fn):14} {where:11} {self.kind}"


class _Rules(Sequence[Any]):
    """The rules of a primitive, each replaced by `wrap(argument, vjp)`."""

    def __init__(self, rules: Any, wrap: Callable[[int, Any], Any]) -> None:
        self.rules, self.wrap = rules, wrap

    def __getitem__(self, i: Any) -> Any:
        vjp = self.rules[i]
        return vjp if vjp is None else self.wrap(i, vjp)

    def __len__(self) -> int:
        return len(self.rules)


@contextmanager
def swapped(table: dict[Any, Any], changes: dict[Any, Any]) -> Iterator[None]:
    """Replace entries of a table for the duration of a with block."""
    before = {key: table[key] for key in changes}
    table.update(changes)
    try:
        yield
    finally:
        table.update(before)


def _wrong(vjp: Any) -> Any:
    return lambda g, y, *args, **params: vjp(g, y, *args, **params) * FACTOR


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


def _cut(vjp: Any) -> Any:
    return lambda g, y, *args, **params: vjp(g, _detached(y), *map(_detached, args), **params)


def _bent(handler: Any) -> Any:
    def bend(y: Any) -> Any:
        if isinstance(y, list):
            return [bend(part) for part in y]
        if not isinstance(y, Tensor) or not y.requires_grad:
            return y
        return y * FACTOR + y.detach() * (1 - FACTOR)

    return lambda *args, **kwargs: bend(handler(*args, **kwargs))


@contextmanager
def planted(place: PlantingPlace) -> Iterator[None]:
    """Plant an error at this place for the duration of a with block."""
    if place.kind == "bent":
        with swapped(FUNCTIONS, {place.fn: _bent(FUNCTIONS[place.fn])}):
            yield
    else:
        spoil = {"wrong": _wrong, "cut": _cut}[place.kind]
        wrap = lambda i, vjp: spoil(vjp) if i == place.argument else vjp
        with swapped(RULES, {place.fn: _Rules(RULES[place.fn], wrap)}):
            yield


def places() -> dict[PlantingPlace, list[OpCase]]:
    """Return every place where an error can be planted, with the cases that reach it."""
    found: dict[PlantingPlace, list[OpCase]] = {}

    def passed(kind: str, fn: Any, argument: int) -> None:
        cases = found.setdefault(PlantingPlace(kind, fn, argument), [])
        if case not in cases:
            cases.append(case)

    def wrap_rules(fn: Any) -> _Rules:
        def wrap(i: int, vjp: Any) -> Any:
            def traced(g: Any, y: Any, *args: Any, **params: Any) -> Any:
                passed("wrong", fn, i)
                if isinstance(g, Tensor) and vjp(g.detach(), y, *args, **params).requires_grad:
                    passed("cut", fn, i)  # the gradient depends on the arguments, not only on g
                return vjp(g, y, *args, **params)

            return traced

        return _Rules(RULES[fn], wrap)

    def wrap_function(fn: Any, handler: Any) -> Any:
        def traced(*args: Any, **kwargs: Any) -> Any:
            y = handler(*args, **kwargs)
            if isinstance(y, (Tensor, list)):
                passed("bent", fn, -1)
            return y

        return traced

    rules = {fn: wrap_rules(fn) for fn in RULES}
    functions = {fn: wrap_function(fn, handler) for fn, handler in FUNCTIONS.items()}
    with swapped(RULES, rules), swapped(FUNCTIONS, functions):
        for case in CASES:
            for seed in SEEDS:
                first(case, Draw.seeded(seed))
                second(case, Draw.seeded(seed))
    return found


def finder(place: PlantingPlace, cases: list[OpCase]) -> str | None:
    """Plant an error and return the case and the judge that find it, or None if no case finds it."""
    with planted(place):
        for case in cases:
            for name, judge in JUDGES.items():
                for seed in SEEDS:
                    try:
                        judge(case, Draw.seeded(seed))
                    except AssertionError as error:
                        return f"{case.name}: {name} ({str(error).splitlines()[0].partition(',')[0]})"
    return None
