"""minirnn: see, check and race backpropagation through time."""

from . import array_functions as array_functions
from .graph import detect_anomaly, is_grad_enabled, no_grad
from .tensor import Tensor, grad

__version__ = "0.1.0"

__all__ = ["Tensor", "detect_anomaly", "grad", "is_grad_enabled", "no_grad"]
