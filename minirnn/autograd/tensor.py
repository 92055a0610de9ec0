"""`Tensor`: an array that remembers how it was made.

Every operation on a Tensor (an operator, or a NumPy function, through NumPy's own protocols NEP 13 and NEP 18) makes a
new Tensor that holds a node: which function, which arguments. `graph.py` walks the nodes back; `ops.py` has the
derivatives.

Conventions, each of them tested:

* Data are never converted silently. Python scalars adapt to the Tensor, and so do NumPy scalars, 0-d arrays and arrays
  of integers; an array of another floating dtype is an error.
* Gradients land in `.grad` of leaves as arrays of their own, and accumulate.
* A graph is freed as it is walked, unless `retain_graph`; walking it again is an error.
* Data stay on their device, the host's or a GPU (`devices.py`), and so do results and gradients.
* No operation changes a Tensor in place. Whoever changes `t.data` (an optimiser) calls `t.bump_version()`, and graphs
  that hold the old value refuse to be walked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minirnn.autograd import devices
from minirnn.autograd.graph import (
    RULES,
    Array,
    Fused,
    Node,
    calling_line,
    name_of,
    pick,
    recording,
    switched,
    walk,
    watching,
)

xp: Any = np  # NumPy's functions as they are on Tensors, of which its type stubs know nothing

# NumPy function -> what stands in for it on Tensors: a primitive with its arguments put in order, or a composition.
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}

# NumPy functions whose derivative is zero, or that only look: they get the plain arrays and return plain arrays.
PLAIN: set[Callable[..., Any]] = set()


def _operator(fn: Callable[..., Any]) -> tuple[Callable[[Tensor, Any], Tensor], Callable[[Tensor, Any], Tensor]]:
    """An operator, and its reflected form."""
    return lambda self, other: binary(fn, self, other), lambda self, other: binary(fn, other, self)


def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Any]:
    """A comparison: elementwise, to a plain array of bools."""
    return lambda self, other: compare(self.data, plain(other))


def _in_place(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Tensor]:
    """`t += u` means t = t + u, except where that would quietly leave a parameter as it was."""

    def assign(self: Tensor, other: Any) -> Tensor:
        if self._node is None and self.requires_grad:
            raise TypeError(
                f"t {symbol}= u on a leaf that requires grad would only rebind the name: write t.data {symbol}= u to "
                f"change its values (outside of a graph), or v = t {symbol} u for a new Tensor"
            )
        return compute(self, other)

    return assign


class Tensor:
    """An array in a differentiable computation.

    `data`: an array, NumPy's or CuPy's (kept, not copied; floats of any precision, ints, bools), or anything
    `np.asarray` takes; Python floats become float32. `requires_grad=True` asks for `.grad` after `.backward()`.

    Methods and NumPy functions follow NumPy's semantics. Comparisons, `argmax` and the like return plain arrays.

    Raises TypeError where the data isn't numeric, or where a gradient is asked of integers or complex numbers.
    """

    data: Array
    requires_grad: bool = False
    grad: Array | None = None
    _node: Node | None = None
    _version: int = 0
    _retains: bool = False

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

    # -- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def T(self) -> Tensor:
        return self.transpose()

    @property
    def is_leaf(self) -> bool:
        """True unless an operation made this Tensor."""
        return self._node is None

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        body = repr(self.data).removeprefix("array(").removesuffix(")")
        made = f", made by {name_of(self._node.fn)}" if self._node else ", requires_grad=True" * self.requires_grad
        return f"{type(self).__name__}({body}{made})"

    def __format__(self, spec: str) -> str:
        return format(self.data.item(), spec) if spec else str(self)

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ValueError(
                f"the truth value of a Tensor of {self.data.size} elements (shape {self.shape}) is ambiguous: "
                "use .any() or .all()"
            )
        return bool(self.data.item())

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def _number(self, kind: str) -> Any:
        if self.requires_grad:  # NumPy calls float() on its own: buffer[i] = t would lose the gradient unseen
            raise TypeError(f"{kind}() would lose the gradient of this Tensor: use .item(), or np.stack")
        return self.item()

    def __index__(self) -> int:
        return devices.host(self.data).__index__()

    def __iter__(self) -> Iterator[Tensor]:
        if not self.data.ndim:
            raise TypeError("iteration over a 0-d Tensor")
        return (self[i] for i in range(len(self.data)))

    # -- leaving the graph

    def item(self) -> Any:
        """The Python number in a Tensor of one element; ValueError for others."""
        if self.data.size != 1:
            raise ValueError(f"item() needs a Tensor of one element, this one has shape {self.shape}")
        return self.data.item()

    def tolist(self) -> Any:
        return self.data.tolist()

    def detach(self) -> Tensor:
        """The same data, no history: gradients stop here."""
        return Tensor(self.data)

    def numpy(self) -> Any:
        """The data as NumPy's array: shared, or a copy if they are on a GPU.

        Raises TypeError when this requires grad: say `.detach().numpy()`.
        """
        if self.requires_grad:
            raise TypeError("numpy() would lose the gradient of this Tensor: use .detach().numpy(), or .data")
        return devices.host(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.requires_grad:
            raise TypeError(
                "this Tensor requires grad, and an array of its values would lose the gradient. Keep to NumPy "
                "functions that minirnn records (np.stack([t, u]), not np.array([t, u])), or say t.detach() or t.data"
            )
        if devices.device_of(self.data) != "cpu":
            raise TypeError("this Tensor is on a GPU, and nothing is moved unasked: .numpy() copies it to the host")
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
                f"only leaves can be {what}; this Tensor was made by {name_of(self._node.fn)}: detach() first"
            )

    # -- gradients

    def backward(self, grad: Any = None, retain_graph: bool = False) -> None:
        """Add d self / d leaf to `.grad` of every leaf that requires grad.

        `grad`: the gradient of self, of self's shape; may be left out for one element (1). The graph is freed on the
        way unless `retain_graph`. RuntimeError when there is no graph, when it is freed already, or when a parameter in
        it was changed in place since.
        """
        seed = _seed(self, grad, "grad", False)
        walk([self], [seed], None, retain_graph, False)

    def retain_grad(self) -> None:
        """Keep `.grad` of this Tensor too though an operation made it."""
        if not self.requires_grad:
            raise RuntimeError("retain_grad() needs a Tensor that requires grad")
        self._retains = True

    def bump_version(self) -> None:
        """Say that `.data` was changed in place: graphs that hold the old value then refuse to be walked."""
        self._version += 1

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
        raise TypeError(f"np.{name} is not supported on Tensors{_instead(ufunc.__name__, method)}")

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise TypeError(f"np.{func.__name__}(..., out=): a Tensor can't be written into; leave out away")
        handler = FUNCTIONS.get(func)
        if handler is not None:
            return handler(*args, **kwargs)
        if func in PLAIN:
            return func(*map(plain, args), **{k: plain(v) for k, v in kwargs.items()})
        raise TypeError(
            f"np.{func.__name__} is not supported on Tensors: minirnn.array_functions lists what is. Where no "
            "gradient is wanted, pass t.detach().numpy()"
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

    def __neg__(self) -> Tensor:
        return unary(np.negative, self)

    def __pos__(self) -> Tensor:
        return unary(np.positive, self)

    def __abs__(self) -> Tensor:
        return unary(np.absolute, self)

    __eq__ = _comparison(operator.eq)
    __ne__ = _comparison(operator.ne)
    __lt__ = _comparison(operator.lt)
    __le__ = _comparison(operator.le)
    __gt__ = _comparison(operator.gt)
    __ge__ = _comparison(operator.ge)
    __hash__ = object.__hash__

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "t[...] = v would write into a Tensor, and the graph could not see it: build the result with np.where, "
            "np.concatenate or np.stack, or write t.data[...] = v outside of a graph"
        )

    __iadd__ = _in_place("+", operator.add)
    __isub__ = _in_place("-", operator.sub)
    __imul__ = _in_place("*", operator.mul)
    __itruediv__ = _in_place("/", operator.truediv)
    __ipow__ = _in_place("**", operator.pow)
    __imatmul__ = _in_place("@", operator.matmul)

    # -- methods, as NumPy has them

    def __getitem__(self, index: Any) -> Tensor:
        return FUNCTIONS[Tensor.__getitem__](self, index)

    def astype(self, dtype: Any) -> Tensor:
        """A Tensor of another floating dtype; its gradient comes back in this one's."""
        return FUNCTIONS[Tensor.astype](self, dtype)

    def to(self, device: str) -> Tensor:
        """This Tensor on "cpu" or "cupy"; its gradient comes back to where this one is. Itself if it is there."""
        return FUNCTIONS[Tensor.to](self, device)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return xp.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return xp.mean(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        return xp.var(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        return xp.std(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return xp.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return xp.min(self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return xp.prod(self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: Any = None) -> Tensor:
        return xp.cumsum(self, axis=axis)

    def reshape(self, *shape: Any) -> Tensor:
        return xp.reshape(self, _one_or_many(shape))

    def ravel(self) -> Tensor:
        return self.reshape(-1)

    def transpose(self, *axes: Any) -> Tensor:
        return xp.transpose(self, _one_or_many(axes) if axes else None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        return xp.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Tensor:
        return xp.squeeze(self, axis=axis)

    def repeat(self, repeats: Any, axis: Any = None) -> Tensor:
        return xp.repeat(self, repeats, axis=axis)

    def take(self, indices: Any, axis: Any = None) -> Tensor:
        return xp.take(self, indices, axis=axis)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        return xp.clip(self, min, max)

    def dot(self, other: Any) -> Tensor:
        return xp.dot(self, other)

    def argmax(self, axis: Any = None) -> Any:
        return self.data.argmax(axis)

    def argmin(self, axis: Any = None) -> Any:
        return self.data.argmin(axis)

    def any(self, axis: Any = None) -> Any:
        return self.data.any(axis)

    def all(self, axis: Any = None) -> Any:
        return self.data.all(axis)


def _one_or_many(args: tuple[Any, ...]) -> Any:
    return args[0] if len(args) == 1 else args


def of_array(array: np.ndarray) -> Tensor:
    """Tensor(array) for an array of floats that a kernel has just made: without the look at what came."""
    t: Tensor = Tensor.__new__(Tensor)
    t.data = array
    return t


def plain(x: Any) -> Any:
    """The array in a Tensor; lists and tuples are looked through."""
    if isinstance(x, Tensor):
        return x.data
    if isinstance(x, (list, tuple)):
        return type(x)(map(plain, x))
    return x


def _instead(name: str, method: str) -> str:
    known = {"reduce": {"add": "np.sum", "multiply": "np.prod", "maximum": "np.max", "minimum": "np.min"}}
    if method == "outer" and name == "multiply":
        return "; write np.outer(a, b)"
    if method == "at":
        return "; write minirnn.autograd.ops.index_add"
    other = known.get(method, {}).get(name) or ("np.cumsum" if (name, method) == ("add", "accumulate") else None)
    return f"; write {other}" if other else ""


# ---- operations


def unary(fn: Callable[..., Any], x: Tensor) -> Tensor:
    """fn(x), recorded: the fast way for functions of one argument."""
    data = x.data
    y = fn(data)
    if y.dtype is not data.dtype and data.dtype.kind in "iub":
        data = data.astype(np.float32)
        y = fn(data)
    return _made(fn, y, ((0, x),) if x.requires_grad else (), (data,), _NOTHING, (), x._version)


def binary(fn: Callable[..., Any], a: Any, b: Any) -> Tensor:
    """fn(a, b), recorded: the fast way for functions of two arguments, at least one of them a Tensor."""
    try:
        if not isinstance(b, Tensor):
            p = a.data
            q = b if b.__class__ is float or b.__class__ is int else constant(b, p.dtype, fn)
            y = fn(p, q)
            if y.dtype is not p.dtype:
                p, q, y = _in_floats(fn, p, q, y)
            return _made(fn, y, ((0, a),) if a.requires_grad else (), (p, q), _NOTHING, (), a._version)
        q = b.data
        if not isinstance(a, Tensor):
            p = a if a.__class__ is float or a.__class__ is int else constant(a, q.dtype, fn)
            y = fn(p, q)
            if y.dtype is not q.dtype:
                p, q, y = _in_floats(fn, p, q, y)
            return _made(fn, y, ((1, b),) if b.requires_grad else (), (p, q), _NOTHING, (), b._version)
        p = a.data
        if p.dtype is not q.dtype:
            p, q = _common(p, q, fn)
        y = fn(p, q)
        if y.dtype is not p.dtype:
            p, q, y = _in_floats(fn, p, q, y)
        version = a._version + b._version
        if not b.requires_grad:
            return _made(fn, y, ((0, a),) if a.requires_grad else (), (p, q), _NOTHING, (b,), version)
        if not a.requires_grad:
            return _made(fn, y, ((1, b),), (p, q), _NOTHING, (a,), version)
        return _made(fn, y, ((0, a), (1, b)), (p, q), _NOTHING, (), version)
    except TypeError:
        devices.refuse_mixed(name_of(fn), map(plain, (a, b)))
        raise


def _in_floats(fn: Callable[..., Any], p: Any, q: Any, y: Any) -> tuple[Any, Any, Any]:
    """p, q and y = fn(p, q) again, where integers took part: in the arrays' floating dtype, else in float32."""
    if y.dtype.kind != "f" or not any(getattr(x, "dtype", np.dtype(float)).kind in "iub" for x in (p, q)):
        return p, q, y
    dtype = next((x.dtype for x in (p, q) if np.ndim(x) and x.dtype.kind == "f"), np.float32)
    p, q = (x.astype(dtype) if hasattr(x, "dtype") else x for x in (p, q))
    return p, q, fn(p, q)


def apply(fn: Callable[..., Any], *args: Any, **params: Any) -> Tensor:
    """fn(*args, **params), recorded; the params are constants that the rules get too."""
    dtypes = [a.data.dtype for a in args if isinstance(a, Tensor)]
    dtype = next((d for d in dtypes if d.kind == "f"), dtypes[0])
    arrays = tuple(constant(plain(a), dtype, fn, isinstance(a, Tensor)) for a in args)
    try:
        y = fn(*arrays, **params)
    except (TypeError, AttributeError, IndexError):
        devices.refuse_mixed(name_of(fn), (*arrays, *params.values()))
        raise
    return _made(fn, y, *_sorted(args, arrays, params))


def apply_fused(fused: Fused, args: Sequence[Any], outputs: Sequence[Array]) -> tuple[Tensor, ...]:
    """Record that `fused` made the outputs of args: one hidden node, and a pick of it for each output."""
    tensors = tuple(map(Tensor, outputs))
    fields = _sorted(args, tuple(map(plain, args)), _NOTHING)
    if fields[0] and recording.get():
        bundle = Tensor.__new__(Tensor)
        bundle.data = tuple(outputs)
        bundle._node = Node(fused, None, *fields, _line())
        for i, t in enumerate(tensors):
            t.requires_grad = True
            t._node = Node(pick, None, ((i, bundle),), (), _NOTHING, (), 0, None)
    return tensors


def _made(fn: Any, y: Any, parents: Any, args: Any, params: Any, constants: Any, version: int) -> Tensor:
    """The Tensor of the result y of fn(*args, **params), with a node if there is something to record."""
    t: Tensor = Tensor.__new__(Tensor)
    t.data = y if y.__class__ is np.ndarray else _as_array(y)
    if parents and recording.get():
        t.requires_grad = True
        fields = (fn, RULES[fn], parents, args, params, constants, version, _line())
        t._node = tuple.__new__(Node, fields)  # faster than Node(...)
    return t


_NOTHING: dict[str, Any] = {}


def _sorted(args: Sequence[Any], arrays: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any, Any, Any, int]:
    """A node's fields from `parents` to `version`."""
    tensors = [(i, a) for i, a in enumerate(args) if isinstance(a, Tensor)]
    parents = tuple((i, a) for i, a in tensors if a.requires_grad)
    constants = tuple(a for _, a in tensors if not a.requires_grad)
    return parents, arrays, params, constants, sum(a._version for _, a in tensors)


def _line() -> str | None:
    return calling_line() if watching.get() else None


def _as_array(y: Any) -> Array:
    return np.asarray(y) if isinstance(y, (np.generic, float, int)) else y


def constant(x: Any, dtype: Any, fn: Any, exact: bool = False) -> Any:
    """The constant x beside a Tensor of `dtype`: see the module's first convention. `exact`: a Tensor's data."""
    if x.__class__ is float or x.__class__ is int or x.__class__ is bool or x is None:
        return x
    if not hasattr(x, "dtype"):
        return np.asarray(x, dtype) if dtype.kind == "f" else np.asarray(x)
    if x.dtype is dtype or x.dtype == dtype or dtype.kind != "f":
        return x
    if x.dtype.kind in "iub" or (x.ndim == 0 and x.dtype.kind == "f" and not exact):
        return x.astype(dtype)
    raise TypeError(
        f"{name_of(fn)}: a {dtype} Tensor and a {x.dtype} {'Tensor' if exact else 'array'} of shape {x.shape} don't "
        f"mix; write .astype(np.{dtype}) on the one or the other"
    )


def _common(p: Array, q: Array, fn: Any) -> tuple[Array, Array]:
    """The data of two Tensors in one dtype: integers take the floats' dtype, two floating dtypes don't mix."""
    if p.dtype.kind == "f":
        return p, constant(q, p.dtype, fn, True)
    return constant(p, q.dtype, fn, True), q


# ---- gradients


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of `outputs` (summed, weighted with `grad_outputs`) with respect to `inputs`, one Tensor each.

    Tensors or sequences of Tensors; `grad_outputs` may be left out where every output has one element. Nothing is added
    to any `.grad`. With `create_graph` the results are themselves differentiable, to any order. `retain_graph`
    defaults to `create_graph`. RuntimeError when an input isn't in the graph.
    """
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    given = [None] * len(outs) if grad_outputs is None else grad_outputs
    if not isinstance(given, (list, tuple)):
        given = [given]
    if len(given) != len(outs):
        raise ValueError(f"grad_outputs: expected {len(outs)}, one per output, got {len(given)}")
    for i, x in enumerate(ins):
        if not isinstance(x, Tensor) or not x.requires_grad:
            raise RuntimeError(f"inputs[{i}] does not require grad")
    seeds = [_seed(t, g, f"grad_outputs[{i}]", create_graph) for i, (t, g) in enumerate(zip(outs, given, strict=True))]
    with switched(recording, create_graph):
        found = walk(outs, seeds, ins, create_graph if retain_graph is None else retain_graph, create_graph)
    missing = [i for i, x in enumerate(ins) if x not in found]
    if missing:
        raise RuntimeError(f"inputs{missing}: the outputs do not depend on them")
    return tuple(g if isinstance(g, Tensor) else Tensor(g.copy()) for g in (found[x] for x in ins))


def _seed(t: Tensor, g: Any, name: str, as_tensor: bool) -> Any:
    """The gradient that the walk starts with at the output t."""
    if not t.requires_grad:
        raise RuntimeError("this Tensor does not require grad: nothing it was made from does, or it was under no_grad")
    if g is None:
        if t.data.size != 1:
            raise RuntimeError(f"{name} is needed: the output has shape {t.shape}, not one element")
        g = np.ones_like(t.data)
    elif not isinstance(g, Tensor):
        g = constant(g, t.data.dtype, t.backward)
        g = g if hasattr(g, "shape") else devices.number_like(t.data, g)
    if g.shape != t.shape:
        raise ValueError(f"{name}: expected the output's shape {t.shape}, got {g.shape}")
    if g.dtype != t.data.dtype:
        raise TypeError(f"{name}: expected the output's dtype {t.data.dtype}, got {g.dtype}")
    return (g if isinstance(g, Tensor) else Tensor(g)) if as_tensor else plain(g)
