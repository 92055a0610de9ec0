"""The graph behind the Tensors, and the walk that carries gradients backward through it.

`walk` is reverse-mode differentiation: it visits the nodes in reverse topological order, so that a node comes after
every node that used its result, and multiplies the gradient of the result by the Jacobian of the operation. The
vector-Jacobian products (VJPs) are in the table `RULES`, which `ops.py` fills. They are written with NumPy functions
and operators: given arrays they compute gradients; given Tensors (`create`) they are recorded, so that the gradients
can be differentiated again.

The functions after `walk` order the nodes, restrict the walk to a part of the graph, compute the products of a node,
and watch for non-finite gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from minirnn.autograd.switches import watching

if TYPE_CHECKING:
    from minirnn.autograd.tensor import Tensor

Array = Any  # an ndarray, or an array of another library that implements NumPy's protocols
Rule = Callable[..., Any]

# function -> one vector-Jacobian product per argument, None for an argument without a gradient. vjp(g, y, *arguments,
# **parameters) is the gradient of its argument, given the gradient g of the result y. Rules need not undo broadcasting.
RULES: dict[Callable[..., Any], Sequence[Rule | None]] = {}


class Node(NamedTuple):
    """The operation that made a Tensor.

    fn: the function, or the `Fused` operation. vjps: its rules; None for a fused operation and for `pick`.
    parents: (position, Tensor) of each argument that requires grad. args: the arguments as arrays and constants.
    params: the function's other parameters. constants: the Tensors among the arguments that don't require grad.
    version: the sum of the versions of parents and constants when the node was made.
    line: the line of the program that called the operation; recorded under `detect_anomaly` only.
    """

    fn: Any
    vjps: Sequence[Rule | None] | None
    parents: tuple[tuple[int, Tensor], ...]
    args: tuple[Any, ...]
    params: dict[str, Any]
    constants: tuple[Tensor, ...]
    version: int
    line: str | None


FREED = Node(None, None, (), (), {}, (), 0, None)


class Fused(Protocol):
    """An operation with several outputs and a hand-written backward pass, such as a whole LSTM layer."""

    name: str

    def backward(self, grads: list[Any], *, keep: bool) -> Sequence[Any]:
        """Return the gradient of each argument, given the gradient of each output (None for an unused output).

        With `keep=False`, the method may overwrite what the forward pass saved.
        """

    def composed(self, *args: Any) -> Sequence[Tensor]:
        """Return the same outputs, computed with recorded operations. Gradients of gradients need them."""


def pick(*outputs: Any) -> Any:
    """Mark a node that selects one output of a fused operation. The walk handles such nodes; this is never called."""
    raise AssertionError("pick is never called")


def name_of(fn: Any) -> str:
    """Return the name of a node's function for messages."""
    if fn is None:
        return "an operation whose graph is freed"
    return str(fn.name if hasattr(fn, "name") else fn.__name__).lstrip("_")


# ---------------------------------------------------------------------------------------------------- the walk


def walk(
    roots: Sequence[Tensor], seeds: Sequence[Any], inputs: Iterable[Tensor] | None, retain: bool, create: bool
) -> dict[Tensor, Any]:
    """Carry the seeds, which are the gradients of the roots, backward through the graph.

    With `inputs=None`, add the gradients of the leaves to their `.grad`. With `inputs`, visit only the nodes that lead
    to an input, change no `.grad`, and return a dict that contains the gradients of the inputs.
    `retain` keeps the graph. With `create`, seeds are Tensors and the rules run on Tensors, so that the results have
    their own graph.
    """
    order, leading, kept = _plan(roots, inputs)
    products = _watched_products if watching.get() else _products
    grads = _summed_seeds(roots, seeds)  # the gradient so far of each Tensor
    while order:
        t = order.pop()
        g = grads.get(t) if t in kept else grads.pop(t, None)
        if g is None:  # no path from t to a root carries a gradient
            continue
        contributions = products(t, g, leading, retain, create)  # the vector-Jacobian products of t's node
        if not retain:
            t._node = FREED
        for p, h in contributions:
            if p._node is None and inputs is None:
                accumulate(p, h)
            elif p in grads:
                grads[p] = grads[p] + h
            else:
                grads[p] = h
    if inputs is None:
        for t, g in grads.items():  # Tensors that called retain_grad(), and a root that is a leaf
            accumulate(t, g)
    return grads


def _plan(
    roots: Sequence[Tensor], inputs: Iterable[Tensor] | None
) -> tuple[list[Tensor], set[int] | None, set[Tensor]]:
    """Return the Tensors to visit (last first), the ids of those that get a gradient, and the Tensors that keep it.

    The ids are None if every Tensor gets a gradient. They are ids because references would keep freed data alive.
    """
    order = _topological_order(roots)
    if inputs is None:
        return order, None, {t for t in order if t._retains}
    kept = set(inputs)
    leading = set(map(id, kept))
    visited = []
    for t in order:
        if any(id(p) in leading for _, p in t._node.parents):  # type: ignore[union-attr]
            leading.add(id(t))
            visited.append(t)
    return visited, leading, kept


def _topological_order(roots: Sequence[Tensor]) -> list[Tensor]:
    """Return the non-leaf Tensors on which the roots depend, each after the Tensors from which it was made.

    The traversal is iterative, so that a graph can have any depth. Raises RuntimeError if a part of the graph was
    freed, or if a Tensor in it was changed in place after the forward pass.
    """
    order: list[Tensor] = []
    seen: set[Tensor] = set()
    stack: list[Any] = [t for t in roots if t._node is not None]
    while stack:
        t = stack.pop()
        if t is None:  # a marker: `order` contains all Tensors from which the next Tensor on the stack was made
            order.append(stack.pop())
        elif t not in seen:
            seen.add(t)
            node = t._node
            if node is FREED:
                raise RuntimeError(
                    "this graph was walked before and its memory freed: pass retain_graph=True to the first walk"
                )
            stack += (t, None)
            version = t._version
            for c in node.constants:
                version += c._version
            for _, p in node.parents:
                version += p._version
                if p._node is not None and p not in seen:
                    stack.append(p)
            if version != node.version:
                raise RuntimeError(
                    f"an argument or the result of {name_of(node.fn)} was changed in place after the forward pass, for "
                    "example by an optimiser's step, so its gradient would be computed from wrong values: run the "
                    "forward pass again, or call backward() before the change"
                )
    return order


def _summed_seeds(roots: Sequence[Tensor], seeds: Sequence[Any]) -> dict[Tensor, Any]:
    """Return the gradient with which the walk starts at each root."""
    if watching.get() and not _finite(seeds):
        raise FloatingPointError("the gradient that was passed to the backward pass is not finite")
    grads: dict[Tensor, Any] = {}
    for t, g in zip(roots, seeds, strict=True):
        grads[t] = grads[t] + g if t in grads else g
    return grads


def accumulate(t: Tensor, g: Array) -> None:
    """Add g to t.grad, which is always the Tensor's own array: writable, contiguous, shared with nothing."""
    if t.grad is None:
        t.grad = np.array(g) if isinstance(g, np.generic) else g.copy()
    else:
        t.grad += g


# ---------------------------------------------------------------------------------------------------- products


def _products(t: Tensor, g: Any, leading: set[int] | None, retain: bool, create: bool) -> list[tuple[Tensor, Any]]:
    """Return (parent, contribution to its gradient) for each parent of t that gets one, given the gradient g of t."""
    node: Node = t._node  # type: ignore[assignment]
    parents: Sequence[tuple[int, Tensor]] = node.parents
    if leading is not None:
        parents = [(i, p) for i, p in parents if id(p) in leading]
    if node.vjps is None:
        if node.fn is pick:
            return [
                (bundle, Upstreams(g if i == k else None for k in range(len(bundle.data)))) for i, bundle in parents
            ]
        return _fused_products(node, parents, g, retain, create)
    y, args = (t, _with_parents(node)) if create else (t.data, node.args)
    products = []
    for i, p in parents:
        h = node.vjps[i](g, y, *args, **node.params)  # type: ignore[misc]
        products.append((p, h if h.shape == p.data.shape else unbroadcast(h, p.data.shape)))
    return products


class Upstreams(list[Any]):
    """The gradients of a fused operation's outputs; None for no gradient. The sum of two objects merges them."""

    def __add__(self, other: Any) -> Upstreams:
        return Upstreams(a if b is None else b for a, b in zip(self, other, strict=True))


def _fused_products(
    node: Node, parents: Sequence[tuple[int, Tensor]], grads: Upstreams, retain: bool, create: bool
) -> list[tuple[Tensor, Any]]:
    """Return the products of a fused operation, given the gradients of its outputs."""
    if not create:
        products = node.fn.backward(grads, keep=retain)
        return [(p, products[i]) for i, p in parents if products[i] is not None]
    # Gradients of gradients: record the composed operations on aliases of the parents, and walk back to the aliases.
    aliases = {i: +p for i, p in node.parents}
    outputs = node.fn.composed(*(aliases.get(i, a) for i, a in enumerate(node.args)))
    roots, seeds = zip(*((y, g) for y, g in zip(outputs, grads, strict=True) if g is not None), strict=True)
    found = walk(roots, seeds, aliases.values(), retain=True, create=True)
    return [(p, found[aliases[i]]) for i, p in parents if aliases[i] in found]


def _with_parents(node: Node) -> tuple[Any, ...]:
    """Return the arguments for recorded rules, with the parents as Tensors."""
    args = list(node.args)
    for i, p in node.parents:
        args[i] = p
    return tuple(args)


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum g over the axes along which an array of `shape` was broadcast: the transpose of broadcasting."""
    extra = len(g.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1 != g.shape[extra + i])
    g = g.sum(axis=axes)
    return g if g.shape == shape else g.reshape(shape)


# ---------------------------------------------------------------------------------------------------- watching


def _watched_products(
    t: Tensor, g: Any, leading: set[int] | None, retain: bool, create: bool
) -> list[tuple[Tensor, Any]]:
    """Return `_products`; raise FloatingPointError if the gradient g of t or one of the products is not finite."""
    node: Node = t._node  # type: ignore[assignment]
    if not _finite(g):
        raise FloatingPointError(f"the gradients of the result of {_described(node)} have a non-finite sum")
    products, parents = _products(t, g, leading, retain, create), iter(node.parents)
    for p, h in products:
        i = next(i for i, parent in parents if parent is p)
        if not _finite(h):
            raise FloatingPointError(
                f"{_described(node)} turned a finite gradient into a non-finite gradient of its argument {i}"
            )
    return products


def _finite(values: Any) -> bool:
    """Return True if all numbers in an array, a Tensor, or a sequence of them (or None) are finite."""
    if isinstance(values, (list, tuple)):
        return all(_finite(v) for v in values if v is not None)
    return bool(np.all(np.isfinite(values.data if hasattr(values, "requires_grad") else values)))


def _described(node: Node) -> str:
    """Return the node's function, its arguments' shapes, and the line that called it."""
    shapes = ", ".join(str(np.shape(a)) for a in node.args)
    line = f"called at {node.line}" if node.line else "called outside detect_anomaly, so that its line is unknown"
    return f"{name_of(node.fn)}({shapes}), {line},"
