"""Recurrent kernels behind one contract: the equations of the cells, and several implementations of sequences.

    kernels = minirnn_kernels.get("numpy")
    out, h_n, c_n, cache = kernels.lstm.forward(x, h0, c0, W_ih, W_hh, b)

This package depends on NumPy and not on minirnn. kernels/README.md states the contract.
"""

from functools import cache
from importlib import import_module

from minirnn_kernels.contract import Kernels
from minirnn_kernels.loading import KernelFileError, load

__all__ = ["KernelFileError", "available", "get", "load"]

# Each module defines its record as KERNELS. A module that can't run on this machine raises an ImportError.
_MODULES = {
    "numpy": "minirnn_kernels.reference.sequences",
    "loops": "minirnn_kernels.cpu.loops",
    "fused": "minirnn_kernels.cpu.fused",
    "numba": "minirnn_kernels.cpu.sequences",
    "cupy": "minirnn_kernels.cuda.cupy_record",
}


@cache
def get(name: str) -> Kernels:
    """Return the record with this name. ValueError for an unknown name, ImportError if the record can't run here."""
    if name not in _MODULES:
        raise ValueError(f"kernels {name!r} are not known, expected one of {', '.join(map(repr, _MODULES))}")
    record: Kernels = import_module(_MODULES[name]).KERNELS
    return record


def available() -> dict[str, str | None]:
    """Return a dict from each known name to None if the record can run here, else to the reason why it can't."""
    return {name: _reason(name) for name in _MODULES}


def _reason(name: str) -> str | None:
    try:
        get(name)
    except ImportError as error:
        return str(error)
    return None
