"""The state of a recurrent layer outside the layer: its representation, and functions that truncate and convert it.

A layer takes and returns a state: h for an RNN or a GRU, the tuple (h, c) for an LSTM. The parts of a state
are its arrays in the order of `Cell.states`; every function here works for any number of parts. None is the initial
state of zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minirnn.autograd import Array, Tensor, plain

State = Any  # h, or (h, c): Tensors or arrays (layers * directions, B, H); None means zeros


def parts(state: State) -> tuple[Any, ...]:
    """Return the parts of a state as a tuple: (h,), or (h, c)."""
    return tuple(state) if isinstance(state, (tuple, list)) else (state,)


def from_parts(values: Iterable[Any]) -> State:
    """Return the state with these parts: h itself if it is the only part, else the tuple."""
    values = tuple(values)
    return values if len(values) > 1 else values[0]


def detach(state: State) -> State:
    """Return the state without its graph: backpropagation through time is truncated here.

    The values are shared, not copied. None and arrays are returned unchanged.

    >>> import numpy as np
    >>> from minirnn import nn
    >>> lstm = nn.LSTM(3, 4)
    >>> out, state = lstm(np.ones((5, 2, 3), np.float32))      # the first window of a long sequence
    >>> out, state = lstm(np.ones((5, 2, 3), np.float32), nn.detach(state))   # gradients stop at its start
    """
    if isinstance(state, tuple):
        return tuple(detach(part) for part in state)
    return state.detach() if isinstance(state, Tensor) else state


def to_arrays(state: State) -> list[Array]:
    """Return the parts of a state as arrays without their graph: [h], or [h, c]."""
    return [plain(part) for part in parts(state)]


def from_arrays(arrays: Sequence[Array] | None) -> State:
    """Convert the arrays of `to_arrays` to a state that a layer takes. None stays None."""
    return None if arrays is None else from_parts(arrays)


def step_states(arrays: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Return the states that `step` of a layer takes, one tuple of parts (B, H) per layer, for `to_arrays`' result."""
    return list(zip(*arrays, strict=True))
