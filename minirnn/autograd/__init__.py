"""The engine: reverse-mode differentiation of NumPy programs.

Read `graph.py` first (the walk), then `ops.py` (the table of derivatives), then `tensor.py` (how operations are
recorded). `array_functions.py` composes NumPy's other functions from the functions in the table; `dtypes.py` and
`devices.py` have the rules for mixed arguments; `switches.py` has `no_grad` and `detect_anomaly`.

The rest of minirnn uses the names below. `Fused` and `apply_fused` record a whole layer as one node of the graph.
"""

from minirnn.autograd import array_functions, devices, ops
from minirnn.autograd.array_methods import tnp
from minirnn.autograd.gradients import grad
from minirnn.autograd.graph import Array, Fused
from minirnn.autograd.switches import detect_anomaly, is_grad_enabled, no_grad
from minirnn.autograd.tensor import Tensor, apply, apply_fused, of_array, plain

__all__ = [
    "Array",
    "Fused",
    "Tensor",
    "apply",
    "apply_fused",
    "array_functions",
    "detect_anomaly",
    "devices",
    "grad",
    "is_grad_enabled",
    "no_grad",
    "of_array",
    "ops",
    "plain",
    "tnp",
]
