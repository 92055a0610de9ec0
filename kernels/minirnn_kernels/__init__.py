"""Recurrent kernels behind one contract: the cells' equations, and sequences of them computed in several ways.

    kernels = minirnn_kernels.get("numpy")
    out, h_n, c_n, cache = kernels.lstm.forward(x, h0, c0, W_ih, W_hh, b)

Knows NumPy and nothing of minirnn. The contract is kernels/README.md.
"""

from functools import cache
from importlib import import_module

from minirnn_kernels.contract import Kernels
from minirnn_kernels.loading import KernelFileError, load

__all__ = ["KernelFileError", "available", "get", "load"]

# Each record stands in a module of its own, as KERNELS; a module that can't run here says so with an ImportError.
_MODULES = {
    "numpy": "minirnn_kernels.reference.sequences",
    "loops": "minirnn_kernels.cpu.loops",
    "fused": "minirnn_kernels.cpu.fused",
    "numba": "minirnn_kernels.cpu.sequences",
    "cupy": "minirnn_kernels.cuda.cupy_record",
}


@cache
def get(name: str) -> Kernels:
    """The record of that name; ValueError for an unknown one, ImportError for one that can't run here."""
    if name not in _MODULES:
        raise ValueError(f"kernels {name!r} are not known, expected one of {', '.join(map(repr, _MODULES))}")
    record: Kernels = import_module(_MODULES[name]).KERNELS
    return record


def available() -> dict[str, str | None]:
    """Each known name with None if these kernels can run here, else with the reason why they can't."""
    return {name: _reason(name) for name in _MODULES}


def _reason(name: str) -> str | None:
    try:
        get(name)
    except ImportError as error:
        return str(error)
    return None
