"""Where arrays live: on the host, as NumPy's, or on a GPU, as CuPy's; and how they get from one to the other.

Nothing says to an operation where to compute: that is where its arrays are, and all of them must be in one place. So a
model is moved once, `model.to("cupy")`, and inputs with `to`. What the engine itself moves from the host, since it
comes about there: arrays of indices, ids, targets and lengths, after they were checked; dropout's masks; values that
initialisers draw; state dicts that are loaded. What it copies to the host: state dicts, `.numpy()`, `.item()`, and the
numbers that decide something in Python. Nothing else ever moves, and CuPy is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

__all__ = ["DEVICES", "DeviceError", "device_of", "host", "like", "module_of", "to"]

Array = Any

DEVICES = ("cpu", "cupy")
ALIASES = {"gpu": "cupy", "cuda": "cupy"}  # for people who type
INSTALL = "pip install 'minirnn[gpu]', or 'cupy-cuda12x[ctk]' for a driver of CUDA 12"


class DeviceError(RuntimeError):
    """A device that can't be used here. The message says why, and what to install."""


def device_of(array: Array) -> str:
    """ "cpu" for arrays and scalars of NumPy and of Python, "cupy" for CuPy's arrays."""
    if isinstance(array, (np.ndarray, np.generic)):
        return "cpu"
    return "cupy" if type(array).__module__.partition(".")[0] == "cupy" else "cpu"


def module_of(array: Array) -> Any:
    """The module whose functions make arrays of this kind: numpy, or cupy."""
    return np if device_of(array) == "cpu" else importlib.import_module("cupy")


def host(array: Array) -> np.ndarray:
    """The array as NumPy's: itself if it is one, else a copy, for which the GPU's work is waited for."""
    return np.asarray(array) if device_of(array) == "cpu" else array.get()


def to(array: Array, device: str) -> Array:
    """The array on `device`, "cpu" or "cupy": itself if it is there, else a copy.

    ValueError for another name; DeviceError where there is no CuPy or no GPU.
    """
    if named(device) == "cpu":
        return host(array)
    return array if device_of(array) == "cupy" else _cupy().asarray(array)


def like(array: Array, other: Array) -> Array:
    """The array where `other` is: itself if it is there, else, from the host, a copy. TypeError from elsewhere."""
    if type(array) is type(other):
        return array
    if device_of(array) != "cpu":
        if device_of(other) == "cpu":
            raise TypeError(_mixed("this", [array, other]))
        return array
    return np.asarray(array) if device_of(other) == "cpu" else np.asarray(array, like=other)


def own_index(index: Any, array: Array, shape: tuple[int, ...]) -> Any:
    """An index into `shape` whose arrays are copies, and where `array` is.

    Copies, because whoever reuses a buffer of ids must not change a graph. What comes from the host for a GPU is looked
    at first, IndexError: there an index out of range would count on from the other end, without a word.
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
    """value as an array of no axes, of array's dtype and where it is. (CuPy takes full_like's `shape=()` for None.)"""
    return np.full_like(array, value, shape=(1,)).reshape(())


def named(device: Any) -> str:
    """`device` if it is one of DEVICES; ValueError otherwise."""
    if device not in DEVICES:
        raise ValueError(f"device: expected one of {', '.join(map(repr, DEVICES))}, got {device!r}")
    return str(device)


def from_name(name: str) -> str:
    """The device that a person means: "cpu", "cupy", or "gpu" and "cuda", which mean "cupy"."""
    return named(ALIASES.get(name, name))


def why_not_cupy() -> str | None:
    """None if CuPy can compute here, else the reason, with what to install."""
    try:
        _cupy()
    except DeviceError as error:
        return str(error)
    return None


def refuse_mixed(what: str, arrays: Any) -> None:
    """TypeError that names `what` and the devices if there are arrays of several among `arrays`."""
    arrays = [a for a in arrays if hasattr(a, "__array_function__")]
    if len(set(map(device_of, arrays))) > 1:
        raise TypeError(_mixed(what, arrays)) from None


def _mixed(what: str, arrays: Any) -> str:
    found = " and ".join(f"{device_of(a)} (shape {a.shape})" for a in arrays)
    return (
        f"{what}: arrays on two devices, {found}. Nothing is moved unasked: minirnn.devices.to(array, "
        '"cupy") or "cpu" moves an array, module.to(...) a module'
    )


def _cupy() -> Any:
    """CuPy, where it can compute."""
    try:
        cupy: Any = importlib.import_module("cupy")
    except Exception as error:  # a broken CUDA installation can fail in any way
        if isinstance(error, ImportError) and error.name == "cupy":
            raise DeviceError(f"CuPy is not installed; {INSTALL}") from None
        raise DeviceError(f"CuPy is installed, but importing it fails: {_first_line(error)}") from None
    try:
        if cupy.cuda.runtime.getDeviceCount() < 1:
            raise DeviceError(f"CuPy {cupy.__version__} finds no GPU")
    except DeviceError:
        raise
    except Exception as error:
        raise DeviceError(
            f"CuPy {cupy.__version__} can't use a GPU here: {_first_line(error)}. It needs an NVIDIA GPU and its driver"
        ) from None
    return cupy


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
