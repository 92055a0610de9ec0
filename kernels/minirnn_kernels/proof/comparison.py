"""The comparison of arrays with their expected values, which names the worst entry, and `Transfer` for other devices.

The proof draws and compares arrays on the host.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = dict[str, Array]


def compare(got: Any, expected: Array, allowed: Any, dtype: Any, what: str) -> None:
    """Raise AssertionError unless `got` is an array of `dtype` whose entries are within `allowed` of `expected`.

    allowed: a number, or an array of the shape of `expected`. The NaNs must be exactly those of `expected`. what: the
    beginning of the message.
    """
    assert isinstance(got, np.ndarray), f"{what}: expected an array, got {type(got).__name__}"
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    assert got.dtype == dtype, f"{what}: dtype {got.dtype}, expected {np.dtype(dtype)}"
    if got.size == 0:
        return
    surplus, missing = np.isnan(got) & ~np.isnan(expected), np.isnan(expected) & ~np.isnan(got)
    assert not surplus.any(), f"{what}: NaN where a number was expected, first at {at(np.argwhere(surplus)[0])}"
    assert not missing.any(), f"{what}: a number where NaN was expected, first at {at(np.argwhere(missing)[0])}"
    same = np.isnan(expected) | (got == expected)  # an infinity minus itself would be NaN
    got = got.astype(np.float64)
    error = np.abs(np.subtract(got, expected, out=np.zeros(expected.shape), where=~same))
    allowed = np.broadcast_to(allowed, expected.shape)
    over = np.subtract(error, allowed, out=np.full(expected.shape, -np.inf), where=~same)
    worst = np.unravel_index(np.argmax(over), over.shape)
    assert over[worst] <= 0, (
        f"{what}: worst entry {at(worst)} is {got[worst]:.9g}, expected {expected[worst]:.9g}; "
        f"error {error[worst]:.3g}, allowed {allowed[worst]:.3g}"
    )


def compare_overall(got: Array, expected: Array, allowed: float, what: str) -> None:
    """Raise AssertionError unless the root mean square of all errors is at most `allowed`. NaNs are not counted."""
    square = np.square(got.astype(np.float64) - expected)
    error = float(np.mean(square, where=~np.isnan(square))) ** 0.5
    assert error <= allowed, f"{what}: error over all entries (root mean square) {error:.3g}, allowed {allowed:.3g}"


def _unchanged(a: Any) -> Any:
    return a


@dataclass(frozen=True)
class Transfer:
    """How the proof moves arrays to the device of a record and back; by default the device is the host.

    For CuPy: `Transfer(cupy.asarray, cupy.asnumpy)`.
    """

    to_device: Callable[[Array], Any] = _unchanged
    to_host: Callable[[Any], Array] = _unchanged

    def placed(self, a: Array) -> Any:
        """Return a copy of `a` on the device, or `a` itself; a stride of two in the last axis is preserved."""
        if a.size and a.strides[-1] == 2 * a.itemsize and self.to_device is not _unchanged:
            return self.to_device(np.repeat(a, 2, axis=-1))[..., ::2]
        return self.to_device(a)

    def fetched(self, a: Any, like: Any, what: str) -> Array:
        """Return a result as a host array. AssertionError unless it is of the same type as the argument `like`."""
        assert isinstance(a, type(like)), f"{what}: expected a {type(like).__name__}, got {type(a).__name__}"
        return self.to_host(a)


def at(index: Any) -> str:
    """Return an index in the form that messages print."""
    return f"[{', '.join(str(int(k)) for k in index)}]"
