"""minirnn: see, check and race backpropagation through time."""

from typing import TYPE_CHECKING, Any

from minirnn import nn, optim
from minirnn.autograd import Tensor, array_functions, detect_anomaly, devices, grad, is_grad_enabled, no_grad
from minirnn.random import manual_seed
from minirnn.recurrent.backends import kernels
from minirnn.recurrent.state import detach
from minirnn_kernels.precision import precision

if TYPE_CHECKING:
    from minirnn.checkpoint import load, save

__version__ = "0.1.0"  # pyproject.toml reads it from here

__all__ = [
    "Tensor",
    "array_functions",
    "detach",
    "detect_anomaly",
    "devices",
    "grad",
    "is_grad_enabled",
    "kernels",
    "load",
    "manual_seed",
    "nn",
    "no_grad",
    "optim",
    "precision",
    "save",
]


def __getattr__(name: str) -> Any:
    if name in ("load", "save"):  # imported at first use, to keep `import minirnn` light
        from minirnn import checkpoint

        return getattr(checkpoint, name)
    raise AttributeError(f"module 'minirnn' has no attribute {name!r}")
