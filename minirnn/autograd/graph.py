"""The graph under the Tensors: its nodes, the switches that govern recording, and the walk that carries gradients back.

`walk` is reverse-mode differentiation in full: it visits the nodes so that each comes after everything that used its
result, and asks the function's vector-Jacobian products (`ops.py`) what the gradient of the result means for the
gradients of the arguments. The products are written with NumPy functions and operators alone. Given arrays they compute
gradients; given Tensors they record, and the gradients can be differentiated again (`create`).
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from minirnn.autograd.tensor import Tensor

Array = Any  # an ndarray, or an array of another library that speaks NumPy's protocols
Rule = Callable[..., Any]

# function -> one vector-Jacobian product per argument: vjp(g, y, *arguments, **parameters) is the gradient of that
# argument, given the gradient g of the result y. None where an argument has no gradient. Broadcasting is undone here.
RULES: dict[Callable[..., Any], Sequence[Rule | None]] = {}


class Node(NamedTuple):
    """How a Tensor was made. `parents` are the arguments that require grad, with their positions."""

    fn: Any
    vjps: Sequence[Rule | None] | None  # None: a fused operation, or the pick of one of its outputs
    parents: tuple[tuple[int, Tensor], ...]
    args: tuple[Any, ...]  # plain arrays and constants, as the function got them
    params: dict[str, Any]
    constants: tuple[Tensor, ...]  # Tensors among the arguments that don't require grad
    version: int  # sum of the versions of parents and constants when this was made
    line: str | None  # the line of the program that made it, under detect_anomaly


FREED = Node(None, None, (), (), {}, (), 0, None)


class Fused(Protocol):
    """An operation with several outputs and a backward written by hand, such as a whole LSTM layer."""

    name: str

    def backward(self, grads: list[Any], *, keep: bool) -> Sequence[Any]:
        """The gradients of all arguments, given those of the outputs (None: that output got none).

        Unless `keep`, what the forward pass saved may be overwritten.
        """

    def composed(self, *args: Any) -> Sequence[Tensor]:
        """The same outputs out of recorded operations: the way to gradients of gradients."""


def pick(*outputs: Any) -> Any:
    """Stands in a node for taking one output of a fused operation; the walk knows it, nobody calls it."""
    raise AssertionError("pick is never called")


def name_of(fn: Any) -> str:
    if fn is None:
        return "an operation whose graph is freed"
    return str(fn.name if hasattr(fn, "name") else fn.__name__).lstrip("_")


# ---------------------------------------------------------------------------------------------------- switches

recording: ContextVar[bool] = ContextVar("recording", default=True)
watching: ContextVar[bool] = ContextVar("watching", default=False)
_entered: ContextVar[tuple[Token[bool], ...]] = ContextVar("entered", default=())


@contextmanager
def switched(switch: ContextVar[bool], value: bool) -> Iterator[None]:
    token = switch.set(value)
    try:
        yield
    finally:
        switch.reset(token)


class _Switch:
    """A context manager that is a decorator too. Each thread and each asyncio task has its own setting."""

    switch: ContextVar[bool]
    value: bool

    def __enter__(self) -> None:
        _entered.set((*_entered.get(), self.switch.set(self.value)))

    def __exit__(self, *error: object) -> None:
        *outer, token = _entered.get()
        _entered.set(tuple(outer))
        self.switch.reset(token)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import inspect  # only here: it takes milliseconds that `import minirnn` needn't cost

        suspends = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
        if any(test(function) for test in suspends):
            raise TypeError(
                f"{type(self).__name__} can't decorate {function.__name__}, which suspends: use `with` in it"
            )
        return switched(self.switch, self.value)(function)


class no_grad(_Switch):
    """Nothing inside is recorded: `with minirnn.no_grad(): ...`, or `@minirnn.no_grad()` above a function."""

    switch, value = recording, False


class detect_anomaly(_Switch):
    """Hunt down non-finite gradients: operations and walks inside are watched, which makes them slower.

    The walk stops with a FloatingPointError at the first operation that makes a non-finite gradient out of a finite
    one. The message names the operation, its shapes, and the line of the program that called it.
    """

    switch, value = watching, True


def is_grad_enabled() -> bool:
    """Whether operations on Tensors are recorded here."""
    return recording.get()


_OURS = tuple(os.path.join(os.path.dirname(file), "") for file in (os.path.dirname(__file__), np.__file__))


def calling_line() -> str:
    """The innermost line of the program that is outside of minirnn and NumPy."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    file, number = frame.f_code.co_filename, frame.f_lineno
    return f"{file}:{number}: {linecache.getline(file, number).strip()}"


# ---------------------------------------------------------------------------------------------------- the walk


def walk(
    roots: Sequence[Tensor], seeds: Sequence[Any], inputs: Iterable[Tensor] | None, retain: bool, create: bool
) -> dict[Tensor, Any]:
    """Carry the seeds, gradients of the roots, back to the leaves, or to the `inputs` where they are given.

    Without `inputs`, gradients are added to `.grad` of the leaves. With them, only nodes that lead to an input are
    visited, nothing is added to any `.grad`, and the inputs' gradients are returned. `retain` keeps the graph.
    `create`: the seeds are Tensors and the rules run on Tensors, so that the results have a graph of their own.
    """
    order = _order(roots)
    wanted = None if inputs is None else set(inputs)
    leading = None if wanted is None else _leading_to(wanted, order)
    watch = watching.get()
    grads: dict[Tensor, Any] = {}  # the gradient so far of each Tensor that is still to be visited
    found: dict[Tensor, Any] = {}
    if watch and not _finite(list(seeds)):
        raise FloatingPointError("the gradient that came in was not finite")
    for t, g in zip(roots, seeds, strict=True):
        grads[t] = grads[t] + g if t in grads else g
    while order:
        t = order.pop()
        g = grads.pop(t, None)
        if g is None:
            continue
        node: Node = t._node  # type: ignore[assignment]
        parents: Sequence[tuple[int, Tensor]] = node.parents
        if watch and not _finite(g):
            raise FloatingPointError(f"the gradients into the result of {_described(node)} add up to a non-finite one")
        if leading is None:
            if t._retains:
                accumulate(t, g)
        else:
            if t in wanted:  # type: ignore[operator]
                found[t] = g
            parents = [(i, p) for i, p in parents if p in leading]
            if not parents:
                continue
        if node.fn is pick:
            for i, bundle in parents:
                grads.setdefault(bundle, [None] * len(bundle.data))[i] = g
            pulled: list[Any] = []
        else:
            pulled = _pull(t, node, parents, g, retain, create)
        if not retain:
            t._node = FREED
            if leading is not None:
                leading.discard(t)  # it may be the last to hold t and its data
        for (i, p), h in zip(parents, pulled):  # noqa: B905 (a pick has pulled nothing)
            if h is None:
                continue
            if watch:
                _watch(node, i, h)
            if p._node is None and wanted is None:
                accumulate(p, h)
            elif p in grads:
                grads[p] = grads[p] + h
            else:
                grads[p] = h
    if wanted is None:
        for t, g in grads.items():  # roots that are leaves
            accumulate(t, g)
    return grads | found


def _pull(
    t: Tensor, node: Node, parents: Sequence[tuple[int, Tensor]], g: Any, retain: bool, create: bool
) -> list[Any]:
    """The gradients of the parents, in their shapes, given the gradient g of t."""
    if node.vjps is None:
        return _pull_fused(node, parents, g, retain, create)
    y, args = t.data, node.args
    if create:
        y, args = t, _recorded(node)
    pulled = []
    for i, p in parents:
        h = node.vjps[i](g, y, *args, **node.params)  # type: ignore[misc]
        pulled.append(h if h.shape == p.data.shape else unbroadcast(h, p.data.shape))
    return pulled


def _pull_fused(node: Node, parents: Sequence[tuple[int, Tensor]], gs: Any, retain: bool, create: bool) -> list[Any]:
    if not create:
        pulled = node.fn.backward(gs, keep=retain)
        return [pulled[i] for i, _ in parents]
    # Gradients of gradients: record the composed operations on aliases of the parents, and walk back to those.
    aliases = {i: +p for i, p in node.parents}
    outputs = node.fn.composed(*(aliases.get(i, a) for i, a in enumerate(node.args)))
    reached = [(y, g) for y, g in zip(outputs, gs, strict=True) if g is not None]
    found = walk([y for y, _ in reached], [g for _, g in reached], aliases.values(), retain=True, create=True)
    return [found.get(aliases[i]) for i, _ in parents]


def _recorded(node: Node) -> tuple[Any, ...]:
    """The arguments as the rules need them to be recorded: the parents themselves in their places."""
    args = list(node.args)
    for i, p in node.parents:
        args[i] = p
    return tuple(args)


def _order(roots: Sequence[Tensor]) -> list[Tensor]:
    """The interior Tensors under the roots, each after those it was made from. Iterative: a graph can be any depth.

    RuntimeError if a part of the graph was freed, or if a Tensor in it was changed in place since.
    """
    order: list[Tensor] = []
    seen: set[Tensor] = set()
    stack: list[Any] = [t for t in roots if t._node is not None]
    while stack:
        t = stack.pop()
        if t is None:  # what the Tensor under this mark was made from is all in order: now itself
            order.append(stack.pop())
        elif t not in seen:
            seen.add(t)
            node = t._node
            if node is FREED:
                raise RuntimeError(
                    "this graph was walked before and its memory freed: pass retain_graph=True to the first walk"
                )
            stack.append(t)
            stack.append(None)
            version = t._version
            for c in node.constants:
                version += c._version
            for _, p in node.parents:
                version += p._version
                if p._node is not None and p not in seen:
                    stack.append(p)
            if version != node.version:
                raise RuntimeError(
                    f"a Tensor that {name_of(node.fn)} got or made was changed in place since (by an optimiser's step, "
                    "say): its gradient would come from the wrong values. Run the forward pass again, or walk first"
                )
    return order


def _leading_to(wanted: set[Tensor], order: Sequence[Tensor]) -> set[Tensor]:
    """The Tensors from which a wanted one can be reached."""
    leading = set(wanted)
    for t in order:
        if any(p in leading for _, p in t._node.parents):  # type: ignore[union-attr]
            leading.add(t)
    return leading


def accumulate(t: Tensor, g: Array) -> None:
    """Add g to t.grad, which is always an array of t's own: writable, contiguous, shared with nothing."""
    if t.grad is None:
        t.grad = np.array(g) if isinstance(g, np.generic) else g.copy()
    else:
        t.grad += g


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum g over the axes along which an array of `shape` was broadcast: the transpose of broadcasting."""
    extra = len(g.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1 != g.shape[extra + i])
    g = g.sum(axis=axes)
    return g if g.shape == shape else g.reshape(shape)


def _watch(node: Node, i: int, h: Any) -> None:
    """Raise if the gradient h of argument i, made out of a finite one, isn't finite."""
    if not _finite(h):
        raise FloatingPointError(
            f"{_described(node)} made a non-finite gradient of its argument {i} out of a finite one"
        )


def _finite(values: Any) -> bool:
    if isinstance(values, list):
        return all(_finite(v) for v in values if v is not None)
    return bool(np.all(np.isfinite(values.data if hasattr(values, "requires_grad") else values)))


def _described(node: Node) -> str:
    shapes = ", ".join(str(np.shape(a)) for a in node.args)
    line = f"built at {node.line}" if node.line else "built outside of detect_anomaly, so that its line isn't known"
    return f"{name_of(node.fn)}({shapes}), {line},"
