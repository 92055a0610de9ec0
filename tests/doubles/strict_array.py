"""A fake array on a GPU: it implements NumPy's protocols like CuPy's arrays, but is stricter.

StrictArray shares these properties with CuPy's arrays (read from the source of CuPy 14.2): results are device arrays,
including full reductions and single elements; scalars mix with arrays, but ndarrays raise errors, even 0-d ones;
nothing is converted to an ndarray implicitly, and `.get()` copies; `.data` is a pointer that NumPy can't read; integer
index arrays wrap around if they are out of range; `*_like(x, shape=())` has the shape of x; `max` and `min` take no
`initial`; an assignment takes no ndarray; there is no `__index__`; Python integers must fit the dtype of the array;
`ufunc.at` exists for a few functions only. CuPy silently copies an ndarray in an index to the GPU; StrictArray raises
an error, so that no transfer is hidden.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

METHODS = frozenset(
    (
        *("all", "any", "argmax", "argmin", "astype", "copy", "cumsum", "dot", "item", "max", "mean", "min", "ravel"),
        *("reshape", "squeeze", "sum", "swapaxes", "take", "tolist", "transpose", "T"),
    )
)
REDUCTIONS = frozenset(("axis", "out", "keepdims", "dtype"))
LIKES = (np.zeros_like, np.ones_like, np.empty_like, np.full_like)


class Pointer:
    """The address of an array's memory, which NumPy can't read as a buffer."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


def _wrapped(result: Any) -> Any:
    if isinstance(result, (np.ndarray, np.generic)):
        return StrictArray(np.asarray(result))
    if isinstance(result, (list, tuple)):
        return type(result)(map(_wrapped, result))
    return result


def _unwrapped(x: Any) -> Any:
    if isinstance(x, StrictArray):
        return x.host
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}: a host array of shape {x.shape} among device arrays")
    if isinstance(x, (list, tuple)):
        return type(x)(map(_unwrapped, x))
    return x


def _foreign(kind: type) -> bool:
    """Return whether a type is another library's array, to which NumPy's protocols then defer."""
    return hasattr(kind, "__array_ufunc__") and not issubclass(kind, (StrictArray, np.ndarray, np.generic))


def _index(index: Any, shape: tuple[int, ...]) -> Any:
    """Return an index for NumPy, with integer arrays wrapped around, for an array of this shape."""
    parts = [_unwrapped(part) for part in (index if isinstance(index, tuple) else (index,))]
    if any(isinstance(part, list) for part in parts):
        raise TypeError("a list in an index of a device array")
    widths = [0 if p is None or p is ... else p.ndim if getattr(p, "dtype", "") == "bool" else 1 for p in parts]
    axis = 0
    for i, (part, width) in enumerate(zip(parts, widths, strict=True)):
        if isinstance(part, np.ndarray) and part.ndim and part.dtype.kind in "iu" and shape[axis]:
            parts[i] = part % shape[axis]
        axis += len(shape) - sum(widths) if part is ... else width
    return tuple(parts) if isinstance(index, tuple) else parts[0]


class StrictArray(NDArrayOperatorsMixin):
    __module__ = "cupy"  # minirnn.autograd.devices reads an array's device from its module

    def __init__(self, host: Any) -> None:
        if isinstance(host, StrictArray):
            raise TypeError("expected a host array, got a device array")
        self.host = np.asarray(host)

    shape = property(lambda self: self.host.shape)
    strides = property(lambda self: self.host.strides)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)
    itemsize = property(lambda self: self.host.itemsize)
    dtype = property(lambda self: self.host.dtype)
    flags = property(lambda self: self.host.flags)
    data = property(lambda self: Pointer(self.host.ctypes.data))

    def get(self) -> Any:
        return self.host.copy()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("a device array is not converted to a host array implicitly; use .get()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            kwargs["out"] = tuple(map(_unwrapped, kwargs["out"]))
        if any(_foreign(type(x)) for x in inputs):
            return NotImplemented
        if method == "at":
            target, index, *values = inputs
            if ufunc is not np.add:
                raise NotImplementedError(f"{ufunc.__name__}.at")
            ufunc.at(_unwrapped(target), _index(index, target.shape), *map(_unwrapped, values))
            return None
        if method != "__call__":
            return NotImplemented
        # CuPy rejects integers outside the dtype of the array, whereas NumPy compares with them.
        for x in (x for x in inputs if type(x) is int):
            for a in (a for a in inputs if isinstance(a, StrictArray) and a.dtype.kind in "iu"):
                a.dtype.type(x)
        out = kwargs.get("out")
        result = getattr(ufunc, method)(*map(_unwrapped, inputs), **kwargs)
        return StrictArray(out[0]) if out else _wrapped(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(map(_foreign, types)):
            return NotImplemented
        if func in (np.asarray, np.array):  # only these take a host array
            (value,) = args
            return StrictArray(np.array(value.host if isinstance(value, StrictArray) else value, **kwargs))
        if func in (np.max, np.min, np.sum, np.prod, np.any, np.all) and not kwargs.keys() <= REDUCTIONS:
            raise TypeError(f"{func.__name__}() got an unexpected keyword argument among {', '.join(kwargs)}")
        if func in LIKES and kwargs.get("shape") == ():
            kwargs = {**kwargs, "shape": None}
        result = func(*map(_unwrapped, args), **{k: _unwrapped(v) for k, v in kwargs.items()})
        return result if func in (np.shape, np.ndim, np.size) else _wrapped(result)

    def __getitem__(self, index: Any) -> Any:
        return StrictArray(self.host[_index(index, self.shape)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.host[_index(index, self.shape)] = _unwrapped(value)

    def __len__(self) -> int:
        return len(self.host)

    def __bool__(self) -> bool:
        return bool(self.host)

    def __float__(self) -> float:
        return float(self.host)

    def __int__(self) -> int:
        return int(self.host)

    def __repr__(self) -> str:
        return repr(self.host)

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(f"StrictArray has no {name}")
        value = getattr(self.host, name)
        if not callable(value):
            return _wrapped(value)
        if name in ("item", "tolist"):
            return value
        if name == "take":
            return self._take
        return lambda *args, **kwargs: self._called(name, value, args, kwargs)

    def _take(self, indices: Any, axis: Any = None) -> Any:
        return StrictArray(self.host.take(_unwrapped(indices), axis, mode="wrap"))

    def _called(self, name: str, method: Any, args: Any, kwargs: Any) -> Any:
        if name in ("max", "min", "sum", "any", "all", "mean") and not kwargs.keys() <= REDUCTIONS:
            raise TypeError(f"{name}() got an unexpected keyword argument among {', '.join(kwargs)}")
        return _wrapped(method(*map(_unwrapped, args), **{k: _unwrapped(v) for k, v in kwargs.items()}))
