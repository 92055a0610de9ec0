"""Recurrent layers as functions, below the modules of `minirnn.nn`.

`cells.py` has one step of each cell, forward and backward. `sequence.py` computes layers over time, with one node of
the graph per layer and direction. `state.py` defines the state between calls. `backends.py` selects the kernels.
`layouts.py` converts weights from and to other libraries, and `inspection.py` shows gates and the reach of gradients.
"""

from minirnn.recurrent.backends import chosen, kernels
from minirnn.recurrent.cells import STEPS, STEPS_BACKWARD
from minirnn.recurrent.inspection import gates, influence
from minirnn.recurrent.layouts import LAYOUTS, convert
from minirnn.recurrent.sequence import reverse, unroll
from minirnn.recurrent.state import detach, from_arrays, step_states, to_arrays

__all__ = [
    "LAYOUTS",
    "STEPS",
    "STEPS_BACKWARD",
    "chosen",
    "convert",
    "detach",
    "from_arrays",
    "gates",
    "influence",
    "kernels",
    "reverse",
    "step_states",
    "to_arrays",
    "unroll",
]
