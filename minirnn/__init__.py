"""minirnn: see, check and race backpropagation through time."""

from . import array_functions, nn, optim
from .backends import kernels
from .checkpoint import load, save
from .graph import detect_anomaly, is_grad_enabled, no_grad
from .random import manual_seed
from .tensor import Tensor, grad

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "array_functions",
    "detect_anomaly",
    "grad",
    "is_grad_enabled",
    "kernels",
    "load",
    "manual_seed",
    "nn",
    "no_grad",
    "optim",
    "save",
]
