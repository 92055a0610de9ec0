"""How the conformance kit compares an array with what it should be, and names the entry that is worst."""

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
    error = np.abs(np.subtract(got, expected, out=np.zeros(expected.shape), where=~same))
    allowed = np.broadcast_to(allowed, expected.shape)
    over = np.subtract(error, allowed, out=np.full(expected.shape, -np.inf), where=~same)
    worst = np.unravel_index(np.argmax(over), over.shape)
    assert over[worst] <= 0, (
        f"{what}: worst entry {at(worst)} is {got[worst]:.9g}, expected {expected[worst]:.9g}; "
        f"error {error[worst]:.3g}, allowed {allowed[worst]:.3g}"
    )


def at(index: Any) -> str:
    """An entry's index, as it is printed."""
    return f"[{', '.join(str(int(k)) for k in index)}]"
