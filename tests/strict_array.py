"""A stand-in for an array on another device: it speaks NumPy's protocols and refuses to mix with arrays of the host.

What CuPy does and this does too: results are device arrays, also those of full reductions; scalars mix, ndarrays raise;
indices may come from the host; `.data` is a pointer, nothing that NumPy can read; nothing becomes an ndarray unasked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class Pointer:
    """A place in the device's memory."""


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
        raise TypeError(f"an array of the host, of shape {x.shape}, among arrays of the device")
    if isinstance(x, (list, tuple)):
        return type(x)(map(_unwrapped, x))
    return x


def _foreign(kind: type) -> bool:
    """Another library's array: it gets its turn, as NumPy's protocols have it."""
    return hasattr(kind, "__array_ufunc__") and not issubclass(kind, (StrictArray, np.ndarray, np.generic))


def _index(index: Any) -> Any:
    """An index: arrays of the host may stand in it, the device gets a copy of them."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    return index.host if isinstance(index, StrictArray) else index


class StrictArray(NDArrayOperatorsMixin):
    def __init__(self, host: Any) -> None:
        self.host = np.asarray(host)

    shape = property(lambda self: self.host.shape)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    dtype = property(lambda self: self.host.dtype)
    flags = property(lambda self: self.host.flags)
    data = property(lambda self: Pointer())

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("an array of the device doesn't turn into one of the host unasked")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            kwargs["out"] = tuple(map(_unwrapped, kwargs["out"]))
        if any(_foreign(type(x)) for x in inputs):
            return NotImplemented
        if method == "at":
            target, index, *values = inputs
            ufunc.at(_unwrapped(target), _index(index), *map(_unwrapped, values))
            return None
        result = getattr(ufunc, method)(*map(_unwrapped, inputs), **kwargs)
        return inputs[0] if "out" in kwargs else _wrapped(result)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(map(_foreign, types)):
            return NotImplemented
        result = func(*map(_unwrapped, args), **{k: _unwrapped(v) for k, v in kwargs.items()})
        return result if func in (np.shape, np.ndim, np.size) else _wrapped(result)

    def __getitem__(self, index: Any) -> Any:
        return StrictArray(self.host[_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.host[_index(index)] = _unwrapped(value)

    def __len__(self) -> int:
        return len(self.host)

    def __bool__(self) -> bool:
        return bool(self.host)

    def __getattr__(self, name: str) -> Any:
        if name not in ("astype", "sum", "max", "any", "all", "reshape", "swapaxes", "transpose", "T", "copy", "item"):
            raise AttributeError(f"StrictArray has no {name}")
        value = getattr(self.host, name)
        if not callable(value):
            return _wrapped(value)
        if name == "item":
            return value
        return lambda *args, **kwargs: _wrapped(value(*map(_unwrapped, args), **kwargs))
