"""A stand-in for CuPy on a machine with a GPU: arrays are StrictArrays, kernels are NumPy's on what is inside of them.

def test_something(gpu): ...   # the fixture of tests/conftest.py: `import cupy` and the kernels "cupy" are these
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np

import minirnn_kernels
from minirnn_kernels.cell import CELLS
from minirnn_kernels.contract import CellKernels, Kernels
from tests.doubles.strict_array import StrictArray


class CUDARuntimeError(RuntimeError):
    """What CuPy raises where a call of CUDA fails."""


def module(devices: int = 1, error: str | None = None) -> Any:
    """A module `cupy` that finds so many GPUs, or that fails with this error of CUDA's when it is asked."""

    def count() -> int:
        if error:
            raise CUDARuntimeError(error)
        return devices

    def made(function: Any) -> Any:
        return lambda *args, **kwargs: StrictArray(function(*args, **kwargs))

    def asarray(a: Any, dtype: Any = None) -> Any:
        return StrictArray(np.array(a.host if isinstance(a, StrictArray) else a, dtype))

    properties = {
        "name": b"A GPU of straw",
        "major": 9,
        "minor": 0,
        "totalGlobalMem": 80 * 2**30,
        "multiProcessorCount": 132,
    }
    runtime = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDevice=lambda: 0,
        getDeviceCount=count,
        getDeviceProperties=lambda device: properties,
        runtimeGetVersion=lambda: 13000,
        driverGetVersion=lambda: 13010,
    )
    cupy = types.ModuleType("cupy")
    cupy.__dict__.update(
        __version__="14.2.0",
        ndarray=StrictArray,
        asarray=asarray,
        array=asarray,
        asnumpy=lambda a: a.get(),
        cuda=types.SimpleNamespace(runtime=runtime, is_available=lambda: error is None and devices > 0),
        **{name: made(getattr(np, name)) for name in ("zeros", "ones", "empty", "full", "arange")},
    )
    return cupy


def _host(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        raise TypeError(f"an array of the host, of shape {x.shape}, went to the kernels of the device")
    return x.host.copy() if isinstance(x, StrictArray) else x


def _device(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(map(_device, x))
    return StrictArray(x) if isinstance(x, np.ndarray) else x


def kernels(inner: Kernels | None = None) -> Kernels:
    """The record "cupy" on StrictArrays: `inner`, or NumPy's, on what is inside of them."""
    inner = inner or minirnn_kernels.get("numpy")

    def on_device(function: Any) -> Any:
        return lambda *args, **options: _device(function(*map(_host, args), **options))

    def accepts(*arrays: Any) -> bool:
        return all(type(a) is StrictArray for a in arrays) and inner.accepts(*(a.host for a in arrays))

    cells = {cell: CellKernels(*map(on_device, vars(inner.of(cell)).values())) for cell in CELLS}
    return Kernels(name="cupy", accepts=accepts, gates=inner.gates, **cells)
