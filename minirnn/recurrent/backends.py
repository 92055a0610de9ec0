"""Which kernels compute the recurrent layers: chosen for the process, or inside a `with` block."""

from __future__ import annotations

import os
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np

import minirnn_kernels
from minirnn.autograd.devices import device_of, refuse_mixed
from minirnn_kernels.contract import Kernels

_process: str | None = None  # chosen by a call; None: not yet
_inside: ContextVar[str | None] = ContextVar("kernels", default=None)  # chosen by a with block


class kernels:
    """Choose the kernels by name: `minirnn.kernels("numpy")` for the process, or `with minirnn.kernels("numpy"):`.

    The environment variable MINIRNN_KERNELS sets the choice for a process that makes none; without it the choice is
    "cupy" for arrays on a GPU, and for others "numba" where that can run, else "numpy". Layers remember the kernels
    that made their forward pass, so a choice made since doesn't disturb a backward pass.

    ValueError for a name that isn't known, ImportError (with the reason) for kernels that can't run here.
    """

    def __init__(self, name: str) -> None:
        global _process
        minirnn_kernels.get(name)
        self._before, self._name = _process, name
        _process = name

    def __enter__(self) -> None:
        global _process
        _process = self._before  # the with block chooses for its own thread or task alone
        self._token = _inside.set(self._name)

    def __exit__(self, *error: object) -> None:
        _inside.reset(self._token)


@cache
def _default() -> str:
    return "numba" if minirnn_kernels.available()["numba"] is None else "numpy"


def chosen(*arrays: Any) -> Kernels:
    """The record to compute with. TypeError if it can't take these arrays.

    ImportError, with the reason, if it can't run here.
    """
    name = _inside.get() or _process or os.environ.get("MINIRNN_KERNELS")
    if name is None:
        name = _default() if type(arrays[0]) is np.ndarray else _for_device(device_of(arrays[0]))
    record = minirnn_kernels.get(name)
    if not record.accepts(*arrays):
        refuse_mixed("a recurrent layer", arrays)
        kinds = sorted({f"{type(a).__module__.partition('.')[0]} {a.dtype}" for a in arrays})
        elsewhere = (device := device_of(arrays[0])) != ("cupy" if name == "cupy" else "cpu")
        way_out = f'minirnn.kernels("{_for_device(device)}") can' if elsewhere else "float32 or float64 throughout"
        raise TypeError(f"the {name} kernels can't take arrays of {' and '.join(kinds)}; {way_out}")
    return record


def _for_device(device: str) -> str:
    return _default() if device == "cpu" else device
