"""The choice of the kernels that compute the recurrent layers: for the process, or in a `with` block."""

from __future__ import annotations

import os
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np

import minirnn_kernels
from minirnn.autograd.devices import device_of, refuse_mixed
from minirnn_kernels.contract import Kernels

_process: str | None = None  # chosen by a call; None before the first one
_inside: ContextVar[str | None] = ContextVar("kernels", default=None)  # chosen by a with block


class kernels:
    """Choose the kernels by name: `minirnn.kernels("numpy")` for the process, or `with minirnn.kernels("numpy"):`.

    The environment variable MINIRNN_KERNELS sets the default choice of a process. Without it the default is "cupy" for
    arrays on a GPU, and for other arrays "numba" if it is available and has the cell, else "numpy". A layer remembers
    the kernels of its forward pass, so a later choice does not affect the backward pass.

    Raises ValueError for an unknown name, and ImportError, with the reason, for kernels that cannot run here.
    """

    def __init__(self, name: str) -> None:
        global _process
        minirnn_kernels.get(name)
        self._before, self._name = _process, name
        _process = name

    def __enter__(self) -> None:
        global _process
        _process = self._before  # a with block applies to its own thread or task only
        self._token = _inside.set(self._name)

    def __exit__(self, *error: object) -> None:
        _inside.reset(self._token)


@cache
def _default() -> str:
    return "numba" if minirnn_kernels.available()["numba"] is None else "numpy"


def chosen(*arrays: Any, cell: str | None = None) -> Kernels:
    """Return the chosen record for these arrays, and for the cell with this name in `minirnn_kernels.cell.CELLS`.

    Raises TypeError if the record does not accept the arrays, ValueError if it lacks the cell, and ImportError, with
    the reason, if it cannot run here.
    """
    name = _inside.get() or _process or os.environ.get("MINIRNN_KERNELS")
    if name is None:
        name = _default() if type(arrays[0]) is np.ndarray else _for_device(device_of(arrays[0]))
        if name == "numba" and cell is not None and cell not in minirnn_kernels.get(name).cells:
            name = "numpy"
    record = minirnn_kernels.get(name)
    if cell is not None and cell not in record.cells:
        record.of(cell)  # raises the error
    if not record.accepts(*arrays):
        refuse_mixed("a recurrent layer", arrays)
        kinds = sorted({f"{type(a).__module__.partition('.')[0]} {a.dtype}" for a in arrays})
        elsewhere = (device := device_of(arrays[0])) != ("cupy" if name == "cupy" else "cpu")
        advice = f'use minirnn.kernels("{_for_device(device)}")' if elsewhere else "use float32 or float64 throughout"
        raise TypeError(f"the {name} kernels do not accept arrays of {' and '.join(kinds)}; {advice}")
    return record


def _for_device(device: str) -> str:
    return _default() if device == "cpu" else device
