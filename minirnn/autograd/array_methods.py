"""What a Tensor has in common with an ndarray: its attributes, its conversion to Python values, and NumPy's methods.

Nothing in this file touches the graph. A method that has a gradient calls the NumPy function of the same name, which
`array_functions.py` records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.autograd import devices
from minirnn.autograd.graph import Array

if TYPE_CHECKING:
    from minirnn.autograd.tensor import Tensor

tnp: Any = np  # NumPy applied to Tensors. Typed as Any because NumPy's type stubs do not know Tensors.


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
        if self.requires_grad:  # `buffer[i] = t` calls float(t), and the gradient would be lost unnoticed
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

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return tnp.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return tnp.mean(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        return tnp.var(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        return tnp.std(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return tnp.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return tnp.min(self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return tnp.prod(self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: Any = None) -> Tensor:
        return tnp.cumsum(self, axis=axis)

    def reshape(self, *shape: Any) -> Tensor:
        return tnp.reshape(self, shape[0] if len(shape) == 1 else shape)

    def ravel(self) -> Tensor:
        return self.reshape(-1)

    def transpose(self, *axes: Any) -> Tensor:
        return tnp.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        return tnp.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Tensor:
        return tnp.squeeze(self, axis=axis)

    def repeat(self, repeats: Any, axis: Any = None) -> Tensor:
        return tnp.repeat(self, repeats, axis=axis)

    def take(self, indices: Any, axis: Any = None) -> Tensor:
        return tnp.take(self, indices, axis=axis)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        return tnp.clip(self, min, max)

    def dot(self, other: Any) -> Tensor:
        return tnp.dot(self, other)

    # -- methods without a gradient: they return arrays

    def argmax(self, axis: Any = None) -> Any:
        return self.data.argmax(axis)

    def argmin(self, axis: Any = None) -> Any:
        return self.data.argmin(axis)

    def any(self, axis: Any = None) -> Any:
        return self.data.any(axis)

    def all(self, axis: Any = None) -> Any:
        return self.data.all(axis)
