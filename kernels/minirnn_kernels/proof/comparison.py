"""How the conformance kit compares an array with what it should be, and names the entry that is worst.

And `Device`: where the arrays of a record are, which the kit draws and compares on the host.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def compare(got: Any, expected: Array, allowed: Any, dtype: Any, what: str) -> None:
    """Raise AssertionError unless got is an array of that dtype within `allowed` of `expected`, entry by entry.

    allowed: a number or an array of the shape of `expected`. NaN has to stand where it is expected and nowhere else.
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
    """Raise AssertionError unless the root mean square of all errors is within `allowed`; NaNs have been compared."""
    square = np.square(got.astype(np.float64) - expected)
    error = float(np.mean(square, where=~np.isnan(square))) ** 0.5
    assert error <= allowed, f"{what}: error over all entries (root mean square) {error:.3g}, allowed {allowed:.3g}"


def _as_it_is(a: Any) -> Any:
    return a


@dataclass(frozen=True)
class Device:
    """How arrays of the host come to a record's device and back; by default it is the host itself."""

    to_device: Callable[[Array], Any] = _as_it_is
    to_host: Callable[[Any], Array] = _as_it_is

    def placed(self, a: Array) -> Any:
        """a on the device: where its last axis has a stride of two, so has the copy's."""
        if a.size and a.strides[-1] == 2 * a.itemsize and self.to_device is not _as_it_is:
            return self.to_device(np.repeat(a, 2, axis=-1))[..., ::2]
        return self.to_device(a)

    def fetched(self, a: Any, like: Any, what: str) -> Array:
        """A result on the host, once it is an array of the same kind as the argument `like`."""
        assert isinstance(a, type(like)), f"{what}: expected a {type(like).__name__}, got {type(a).__name__}"
        return self.to_host(a)


def at(index: Any) -> str:
    """An entry's index, as it is printed."""
    return f"[{', '.join(str(int(k)) for k in index)}]"
