"""The interface that a Tensor shares with an ndarray: attributes, conversion to Python values, and NumPy's methods.

Nothing in this file touches the graph. A method that has a gradient calls the NumPy function of the same name, which
`array_functions.py` records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.autograd import devices
from minirnn.autograd.graph import Array

if TYPE_CHECKING:
    from minirnn.autograd.tensor import Tensor

tnp: Any = np  # NumPy applied to Tensors. Typed as Any because NumPy's type stubs do not know Tensors.


def _reduction(fn: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return the method of a Tensor that reduces it along axes: t.sum(axis, keepdims) is np.sum(t, ...)."""
    return lambda self, axis=None, keepdims=False: fn(self, axis=axis, keepdims=keepdims)


def _deviation(fn: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return the method for np.var or np.std, with `ddof` as the delta degrees of freedom."""
    return lambda self, axis=None, ddof=0, keepdims=False: fn(self, axis=axis, ddof=ddof, keepdims=keepdims)


def _method(fn: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return the method with the arguments of the NumPy function: t.take(indices, axis) is np.take(t, ...)."""
    return lambda self, *args, **options: fn(self, *args, **options)


def _plain_method(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method of a function without a gradient. It returns an array."""
    return lambda self, axis=None: fn(self.data, axis)


class ArrayMethods:
    """Base of `Tensor`: the attributes and methods of an ndarray."""

    data: Array
    requires_grad: bool

    # -- attributes

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

    def __len__(self) -> int:
        return len(self.data)

    # -- Python values

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
        if self.requires_grad:  # `buffer[i] = t` calls float(t), and the gradient would be lost silently
            raise TypeError(f"{kind}() would lose the gradient of this Tensor: use .item(), or np.stack")
        return self.item()

    def __index__(self) -> int:
        return devices.host(self.data).__index__()

    def item(self) -> Any:
        """Return the number in a Tensor of one element as a Python number; ValueError for other sizes."""
        if self.data.size != 1:
            raise ValueError(f"item() needs a Tensor of one element, this one has shape {self.shape}")
        return self.data.item()

    def tolist(self) -> Any:
        return self.data.tolist()

    # -- methods with a gradient

    sum, mean, prod, max, min = map(_reduction, (tnp.sum, tnp.mean, tnp.prod, tnp.max, tnp.min))
    var, std = map(_deviation, (tnp.var, tnp.std))
    cumsum, squeeze, swapaxes = map(_method, (tnp.cumsum, tnp.squeeze, tnp.swapaxes))
    repeat, take, dot = map(_method, (tnp.repeat, tnp.take, tnp.dot))

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        return tnp.clip(self, min, max)

    def reshape(self, *shape: Any) -> Tensor:
        return tnp.reshape(self, shape[0] if len(shape) == 1 else shape)

    def ravel(self) -> Tensor:
        return self.reshape(-1)

    def transpose(self, *axes: Any) -> Tensor:
        return tnp.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    # -- methods without a gradient

    argmax, argmin, any, all = map(_plain_method, (tnp.argmax, tnp.argmin, tnp.any, tnp.all))
