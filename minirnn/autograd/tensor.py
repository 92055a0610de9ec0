"""`Tensor`: an array that remembers how it was made, and the functions that record operations.

Every operation on a Tensor (an operator, or a NumPy function through the protocols NEP 13 and NEP 18) makes a new
Tensor with a node: the function and its arguments. `ops.py` has the derivatives, `graph.py` walks the nodes backward.

The conventions, each of which is tested:

* Data are never converted silently (`dtypes.py`).
* The gradients of leaves are arrays in `.grad` that share no memory. They accumulate.
* The backward pass frees the graph as it walks, unless `retain_graph`; walking a freed graph is an error.
* Data stay on their device, the host or a GPU (`devices.py`), and so do results and gradients.
* No operation changes a Tensor in place. Code that changes `t.data`, such as an optimiser, calls `t.bump_version()`;
  walking a graph that depends on the old value is then an error.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minirnn.autograd import devices
from minirnn.autograd.array_methods import ArrayMethods
from minirnn.autograd.dtypes import common, constant, in_floats
from minirnn.autograd.graph import RULES, Array, Fused, Node, name_of, pick, walk
from minirnn.autograd.switches import calling_line, recording, watching

# NumPy function -> its implementation on Tensors: a call of a primitive, or a composition.
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}

# NumPy functions without a derivative, or with a derivative of zero. They take and return plain arrays.
PLAIN: set[Callable[..., Any]] = set()

# Method of a ufunc that Tensors do not support -> the replacement to suggest.
INSTEAD = {
    "add.reduce": "np.sum",
    "multiply.reduce": "np.prod",
    "maximum.reduce": "np.max",
    "minimum.reduce": "np.min",
    "add.accumulate": "np.cumsum",
    "add.at": "minirnn.autograd.ops.index_add",
    "multiply.outer": "np.outer(a, b)",
}


def _operator(fn: Callable[..., Any]) -> tuple[Callable[[Tensor, Any], Tensor], Callable[[Tensor, Any], Tensor]]:
    """Return the methods of a binary operator and of its reflected form."""
    return lambda self, other: binary(fn, self, other), lambda self, other: binary(fn, other, self)


def _unary_operator(fn: Callable[..., Any]) -> Callable[[Tensor], Tensor]:
    return lambda self: unary(fn, self)


def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Any]:
    """Return the method of a comparison. Its result is a plain array of bools."""
    return lambda self, other: compare(self.data, plain(other))


def _in_place(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Tensor]:
    """Return the method of `t += u`. It means t = t + u; an error if t is a leaf, which would not change."""

    def assign(self: Tensor, other: Any) -> Tensor:
        if self._node is None and self.requires_grad:
            raise TypeError(
                f"t {symbol}= u on a leaf that requires grad would only rebind the name: write t.data {symbol}= u to "
                f"change its values (outside of a graph), or v = t {symbol} u for a new Tensor"
            )
        return compute(self, other)

    return assign


class Tensor(ArrayMethods):
    """An array in a differentiable computation.

    `data`: an array of NumPy or CuPy (kept, not copied; floats of any precision, ints, bools), or anything that
    `np.asarray` takes; Python floats become float32. `requires_grad=True` makes `.backward()` compute `.grad`.

    Methods and NumPy functions follow NumPy's semantics. Comparisons, `argmax` and similar methods return plain arrays.

    Raises TypeError if the data are not numeric, or for integers or complex numbers with `requires_grad`.
    """

    data: Array
    requires_grad: bool = False
    grad: Array | None = None
    _node: Node | None = None  # None: a leaf
    _version: int = 0  # the number of changes in place
    _retains: bool = False  # keeps `.grad` though it is not a leaf

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            data = data.data
        elif isinstance(data, (np.generic, np.ndarray)):
            if hasattr(data, "mask"):
                raise TypeError("data: a masked array would lose its mask; fill it first, or mask with np.where")
            data = np.asarray(data)
        elif not hasattr(data, "__array_function__"):
            data = np.asarray(data)
            if data.dtype == np.float64:
                data = data.astype(np.float32)
        kind = data.dtype.kind
        if kind not in "fiubc":
            raise TypeError(f"data: expected numbers, got dtype {data.dtype}")
        if requires_grad and kind != "f":
            raise TypeError(
                f"requires_grad: only floating-point Tensors have gradients, data is {data.dtype}"
                + ("; write floats, e.g. 1.0, or data.astype(np.float32)" if kind in "iub" else "")
            )
        self.data = data
        if requires_grad:
            self.requires_grad = True

    @property
    def is_leaf(self) -> bool:
        """True unless an operation made this Tensor."""
        return self._node is None

    def __repr__(self) -> str:
        body = repr(self.data).removeprefix("array(").removesuffix(")")
        made = f", made by {name_of(self._node.fn)}" if self._node else ", requires_grad=True" * self.requires_grad
        return f"{type(self).__name__}({body}{made})"

    # -- gradients

    def backward(self, grad: Any = None, retain_graph: bool = False) -> None:
        """Add d self / d leaf to `.grad` of every leaf that requires grad.

        `grad`: the gradient of self, of self's shape; optional (1) for one element. The graph is freed unless
        `retain_graph`. Raises RuntimeError if there is no graph, if it was freed, or if a Tensor in it was changed in
        place after the forward pass.
        """
        walk([self], [plain(seed_of(self, grad, "grad"))], None, retain_graph, False)

    def retain_grad(self) -> None:
        """Keep `.grad` of this Tensor although it is not a leaf."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad() needs a Tensor that requires grad")
        self._retains = True

    def bump_version(self) -> None:
        """Declare that `.data` was changed in place. Walking a graph that depends on the old value is then an error."""
        self._version += 1

    # -- leaving the graph

    def detach(self) -> Tensor:
        """Return a Tensor with the same data and no history. Gradients stop here."""
        return Tensor(self.data)

    def numpy(self) -> Any:
        """Return the data as a NumPy array: the same memory, or a copy if they are on a GPU.

        Raises TypeError if this Tensor requires grad: write `.detach().numpy()`.
        """
        if self.requires_grad:
            raise TypeError("numpy() would lose the gradient of this Tensor: use .detach().numpy(), or .data")
        return devices.host(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.requires_grad:
            raise TypeError(
                "this Tensor requires grad, and an array of its values would lose the gradient. Use NumPy functions "
                "that minirnn records (np.stack([t, u]), not np.array([t, u])), or write t.detach() or t.data"
            )
        if devices.device_of(self.data) != "cpu":
            raise TypeError(
                "this Tensor is on a GPU, and arrays are never moved automatically: .numpy() copies it to the host"
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    def __copy__(self) -> Tensor:
        return self.__deepcopy__({}, share=True)

    def __deepcopy__(self, memo: dict[int, Any], share: bool = False) -> Tensor:
        self._only_leaves("copied")
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        for name, value in self.__dict__.items():
            own = value is not None and (name == "grad" or (name == "data" and not share))
            new.__dict__[name] = value.copy() if own else value
        return new

    def __getstate__(self) -> dict[str, Any]:
        self._only_leaves("pickled")
        return {"data": self.data, "requires_grad": self.requires_grad}

    def _only_leaves(self, what: str) -> None:
        if self._node is not None:
            raise TypeError(
                f"only leaves can be {what}; this Tensor was made by {name_of(self._node.fn)}: call detach() first"
            )

    # -- NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            if ufunc in RULES:
                return unary(ufunc, *inputs) if len(inputs) == 1 else binary(ufunc, *inputs)
            if ufunc in PLAIN:
                return ufunc(*map(plain, inputs))
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        if "out" in kwargs:
            raise TypeError(
                f"np.{name}(..., out=): a Tensor can't be written into; write t = np.{name}(...) without out"
            )
        if kwargs and ufunc in RULES:
            raise TypeError(f"np.{name} on Tensors takes no {', '.join(kwargs)}")
        instead = f"; write {INSTEAD[name]}" if name in INSTEAD else ""
        raise TypeError(f"np.{name} is not supported on Tensors{instead}")

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise TypeError(
                f"np.{func.__name__}(..., out=): a Tensor can't be written into; call it without the argument out"
            )
        handler = FUNCTIONS.get(func)
        if handler is not None:
            return handler(*args, **kwargs)
        if func in PLAIN:
            return func(*map(plain, args), **{k: plain(v) for k, v in kwargs.items()})
        raise TypeError(
            f"np.{func.__name__} is not supported on Tensors; minirnn.array_functions lists the functions that are. If "
            "you need no gradient, pass t.detach().numpy()"
        )

    # -- operators

    __add__, __radd__ = _operator(np.add)
    __sub__, __rsub__ = _operator(np.subtract)
    __mul__, __rmul__ = _operator(np.multiply)
    __truediv__, __rtruediv__ = _operator(np.true_divide)
    __matmul__, __rmatmul__ = _operator(np.matmul)
    _power, __rpow__ = _operator(np.power)

    def __pow__(self, other: Any) -> Tensor:
        return unary(np.square, self) if other.__class__ is int and other == 2 else self._power(other)

    __neg__, __pos__, __abs__ = map(_unary_operator, (np.negative, np.positive, np.absolute))

    __eq__, __ne__ = map(_comparison, (operator.eq, operator.ne))
    __lt__, __le__, __gt__, __ge__ = map(_comparison, (operator.lt, operator.le, operator.gt, operator.ge))
    __hash__ = object.__hash__

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "t[...] = v would write into a Tensor, and the graph could not see it: build the result with np.where, "
            "np.concatenate or np.stack, or write t.data[...] = v outside of a graph"
        )

    __iadd__, __isub__, __imul__ = map(_in_place, "+-*", (operator.add, operator.sub, operator.mul))
    __itruediv__, __ipow__, __imatmul__ = map(
        _in_place, ("/", "**", "@"), (operator.truediv, operator.pow, operator.matmul)
    )

    # -- methods that array_functions.py implements

    def __iter__(self) -> Iterator[Tensor]:
        if not self.data.ndim:
            raise TypeError("iteration over a 0-d Tensor; .item() returns its number")
        return (self[i] for i in range(len(self.data)))

    def __getitem__(self, index: Any) -> Tensor:
        return FUNCTIONS[Tensor.__getitem__](self, index)

    def astype(self, dtype: Any) -> Tensor:
        """Return a Tensor of another floating dtype. Its gradient is converted back to this Tensor's dtype."""
        return FUNCTIONS[Tensor.astype](self, dtype)

    def to(self, device: str) -> Tensor:
        """Return this Tensor on "cpu" or "cupy": itself if it is there. Gradients are moved back to its own device."""
        return FUNCTIONS[Tensor.to](self, device)


def of_array(array: Any) -> Tensor:
    """Return Tensor(array) without validation. The array holds floats that a kernel has just computed."""
    t: Tensor = Tensor.__new__(Tensor)
    t.data = array
    return t


def plain(x: Any) -> Any:
    """Return x with each Tensor replaced by its array, also inside lists and tuples."""
    if isinstance(x, Tensor):
        return x.data
    if isinstance(x, (list, tuple)):
        return type(x)(map(plain, x))
    return x


def seed_of(t: Tensor, g: Any, name: str) -> Any:
    """Return the gradient (an array or a Tensor) with which a walk starts at the output t.

    g: the gradient that the caller passed as the argument `name`, or None.
    """
    if not t.requires_grad:
        raise RuntimeError(
            "this Tensor does not require grad: it was made under no_grad, or from Tensors that don't require grad"
        )
    if g is None:
        if t.data.size != 1:
            raise RuntimeError(f"{name} is needed: the output has shape {t.shape}, not one element")
        return np.ones_like(t.data)
    if not isinstance(g, Tensor):
        g = constant(g, t.data.dtype, t.backward)
        g = g if hasattr(g, "shape") else devices.number_like(t.data, g)
    if g.shape != t.shape:
        raise ValueError(f"{name}: expected the output's shape {t.shape}, got {g.shape}")
    if g.dtype != t.data.dtype:
        raise TypeError(f"{name}: expected the output's dtype {t.data.dtype}, got {g.dtype}")
    return g


# ---------------------------------------------------------------------------------------------------- recording


def unary(fn: Callable[..., Any], x: Tensor) -> Tensor:
    """Compute and record fn(x): the fast path for functions of one argument."""
    data = x.data
    y = fn(data)
    if y.dtype is not data.dtype and data.dtype.kind in "iub":
        data = data.astype(np.float32)
        y = fn(data)
    return _made(fn, y, ((0, x),) if x.requires_grad else (), (data,), _NO_PARAMS, (), x._version)


def binary(fn: Callable[..., Any], a: Any, b: Any) -> Tensor:
    """Compute and record fn(a, b): the fast path for functions of two arguments. At least one of them is a Tensor."""
    parents: Any
    constants: Any = ()
    try:
        if not isinstance(b, Tensor):
            p = a.data
            q = b if b.__class__ is float or b.__class__ is int else constant(b, p.dtype, fn)
            dtype, version = p.dtype, a._version
            parents = ((0, a),) if a.requires_grad else ()
        elif not isinstance(a, Tensor):
            q = b.data
            p = a if a.__class__ is float or a.__class__ is int else constant(a, q.dtype, fn)
            dtype, version = q.dtype, b._version
            parents = ((1, b),) if b.requires_grad else ()
        else:
            p, q = a.data, b.data
            if p.dtype is not q.dtype:
                p, q = common(p, q, fn)
            dtype, version = p.dtype, a._version + b._version
            if not b.requires_grad:
                parents, constants = ((0, a),) if a.requires_grad else (), (b,)
            elif not a.requires_grad:
                parents, constants = ((1, b),), (a,)
            else:
                parents = ((0, a), (1, b))
        y = fn(p, q)
        if y.dtype is not dtype:
            p, q, y = in_floats(fn, p, q, y)
        return _made(fn, y, parents, (p, q), _NO_PARAMS, constants, version)
    except TypeError:
        devices.refuse_mixed(name_of(fn), map(plain, (a, b)))
        raise


def apply(fn: Callable[..., Any], *args: Any, **params: Any) -> Tensor:
    """Compute and record fn(*args, **params). The params are constants, which are also passed to the rules."""
    dtypes = [a.data.dtype for a in args if isinstance(a, Tensor)]
    dtype = next((d for d in dtypes if d.kind == "f"), dtypes[0])
    arrays = tuple(constant(plain(a), dtype, fn, isinstance(a, Tensor)) for a in args)
    try:
        y = fn(*arrays, **params)
    except (TypeError, AttributeError, IndexError):
        devices.refuse_mixed(name_of(fn), (*arrays, *params.values()))
        raise
    return _made(fn, y, *_node_fields(args, arrays, params))


def apply_fused(fused: Fused, args: Sequence[Any], outputs: Sequence[Array]) -> tuple[Tensor, ...]:
    """Record that `fused` computed the outputs from args: one hidden node, and for each output a node that picks it."""
    tensors = tuple(map(Tensor, outputs))
    fields = _node_fields(args, tuple(map(plain, args)), _NO_PARAMS)
    if fields[0] and recording.get():
        bundle = of_array(tuple(outputs))
        bundle._node = Node(fused, None, *fields, _line())
        for i, t in enumerate(tensors):
            t.requires_grad = True
            t._node = Node(pick, None, ((i, bundle),), (), _NO_PARAMS, (), 0, None)
    return tensors


def _made(fn: Any, y: Any, parents: Any, args: Any, params: Any, constants: Any, version: int) -> Tensor:
    """Return the Tensor of the result y of fn(*args, **params), with a node if it has parents and recording is on."""
    t: Tensor = Tensor.__new__(Tensor)
    t.data = y if y.__class__ is np.ndarray else _as_array(y)
    if parents and recording.get():
        t.requires_grad = True
        fields = (fn, RULES[fn], parents, args, params, constants, version, _line())
        t._node = tuple.__new__(Node, fields)  # faster than Node(...)
    return t


_NO_PARAMS: dict[str, Any] = {}


def _node_fields(
    args: Sequence[Any], arrays: tuple[Any, ...], params: dict[str, Any]
) -> tuple[Any, Any, Any, Any, int]:
    """Return the fields of a node from `parents` to `version`."""
    tensors = [(i, a) for i, a in enumerate(args) if isinstance(a, Tensor)]
    parents = tuple((i, a) for i, a in tensors if a.requires_grad)
    constants = tuple(a for _, a in tensors if not a.requires_grad)
    return parents, arrays, params, constants, sum(a._version for _, a in tensors)


def _line() -> str | None:
    return calling_line() if watching.get() else None


def _as_array(y: Any) -> Array:
    return np.asarray(y) if isinstance(y, (np.generic, float, int)) else y
