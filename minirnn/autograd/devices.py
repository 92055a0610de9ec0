"""The two devices of an array: the host (NumPy arrays) and a GPU (CuPy arrays), and how arrays move between them.

An operation runs on the device of its arrays, which must all be on one device. A model is moved once with
`model.to("cupy")`, and inputs with `to`. The engine itself moves to the GPU only arrays that are made on the host:
indices, ids, targets and lengths, after validation; dropout masks; initial values; and loaded state dicts. It copies to
the host only state dicts, the results of `.numpy()` and `.item()`, and numbers on which a decision in Python depends.
CuPy is imported at first use.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

__all__ = ["DEVICES", "DeviceError", "device_of", "host", "like", "module_of", "to"]

Array = Any

DEVICES = ("cpu", "cupy")
ALIASES = {"gpu": "cupy", "cuda": "cupy"}  # accepted on the command line
INSTALL = "pip install 'minirnn[gpu]', or 'cupy-cuda12x[ctk]' for a driver of CUDA 12"


class DeviceError(RuntimeError):
    """A device is not available. The message says why, and what to install."""


def device_of(array: Array) -> str:
    """Return "cupy" for CuPy arrays, and "cpu" for NumPy arrays and all scalars."""
    if isinstance(array, (np.ndarray, np.generic)):
        return "cpu"
    return "cupy" if type(array).__module__.partition(".")[0] == "cupy" else "cpu"


def module_of(array: Array) -> Any:
    """Return the module whose functions make arrays of this kind: numpy or cupy."""
    return np if device_of(array) == "cpu" else importlib.import_module("cupy")


def host(array: Array) -> np.ndarray:
    """Return the array as a NumPy array: itself, or a copy from the GPU. The copy synchronises with the GPU."""
    return np.asarray(array) if device_of(array) == "cpu" else array.get()


def to(array: Array, device: str) -> Array:
    """Return the array on `device`, "cpu" or "cupy": itself if it is there, otherwise a copy.

    Raises ValueError for another name; DeviceError if there is no CuPy or no GPU.
    """
    if named(device) == "cpu":
        return host(array)
    return array if device_of(array) == "cupy" else _cupy().asarray(array)


def like(array: Array, other: Array) -> Array:
    """Return the array on the device of `other`: itself, or a copy from the host. Raises TypeError for a GPU array."""
    if type(array) is type(other):
        return array
    if device_of(array) != "cpu":
        if device_of(other) == "cpu":
            raise TypeError(_mixed("like", [array, other]))
        return array
    return np.asarray(array) if device_of(other) == "cpu" else np.asarray(array, like=other)


def own_index(index: Any, array: Array, shape: tuple[int, ...]) -> Any:
    """Return an index into `shape` whose arrays are copies on the device of `array`.

    They are copies so that code that reuses a buffer of ids does not change a graph. Indices from the host for a GPU
    are checked first (IndexError), because CuPy silently wraps indices that are out of range.
    """
    if isinstance(index, (int, slice)):
        return index
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [part for part in parts if isinstance(part, list) or hasattr(part, "__array_function__")]
    if not arrays:
        return index
    if type(array) is not np.ndarray and all(device_of(part) == "cpu" for part in arrays):
        np.broadcast_to(np.False_, shape)[index]
    own = tuple(_own(part, array) for part in parts)
    return own if isinstance(index, tuple) else own[0]


def _own(part: Any, array: Array) -> Any:
    if isinstance(part, (list, np.ndarray)):
        return like(np.array(part), array)
    return part.copy() if hasattr(part, "__array_function__") else part


def number_like(array: Array, value: Any) -> Array:
    """Return `value` as a 0-d array with the dtype and the device of `array`."""
    # Not shape=(): CuPy's full_like treats it as None.
    return np.full_like(array, value, shape=(1,)).reshape(())


def named(device: Any) -> str:
    """Return `device` if it is one of DEVICES; ValueError otherwise."""
    if device not in DEVICES:
        raise ValueError(f"device: expected one of {', '.join(map(repr, DEVICES))}, got {device!r}")
    return str(device)


def from_name(name: str) -> str:
    """Return the device with this name: "cpu", "cupy", or "gpu" and "cuda", which mean "cupy"."""
    return named(ALIASES.get(name, name))


def why_not_cupy() -> str | None:
    """Return None if CuPy can use a GPU here, otherwise the reason and the package to install."""
    try:
        _cupy()
    except DeviceError as error:
        return str(error)
    return None


def refuse_mixed(what: str, arrays: Any) -> None:
    """Raise a TypeError that names `what` and the devices if the arrays are on more than one device."""
    arrays = [a for a in arrays if hasattr(a, "__array_function__")]
    if len(set(map(device_of, arrays))) > 1:
        raise TypeError(_mixed(what, arrays)) from None


def _mixed(what: str, arrays: Any) -> str:
    found = " and ".join(f"{device_of(a)} (shape {a.shape})" for a in arrays)
    return (
        f"{what}: arrays on two devices, {found}. Arrays are never moved automatically: move an array with "
        'minirnn.devices.to(array, "cupy") or "cpu", a module with module.to(...)'
    )


def _cupy() -> Any:
    """Return the module cupy; DeviceError if it can't use a GPU here."""
    try:
        cupy: Any = importlib.import_module("cupy")
    except Exception as error:  # a broken CUDA installation can fail in any way
        if isinstance(error, ImportError) and error.name == "cupy":
            raise DeviceError(f"CuPy is not installed; {INSTALL}") from None
        raise DeviceError(f"CuPy is installed, but importing it fails: {_first_line(error)}") from None
    try:
        found = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise DeviceError(
            f"CuPy {cupy.__version__} can't use a GPU here: {_first_line(error)}. It needs an NVIDIA GPU and its driver"
        ) from None
    if found < 1:
        raise DeviceError(f"CuPy {cupy.__version__} finds no GPU")
    return cupy


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
