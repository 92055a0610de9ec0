"""Single steps without a graph, as in text generation: the fast path of the layers and cells of `recurrent.py`.

A step of a small cell takes a few microseconds, less than the checks and wrappers of the general path. The functions
here check only that the arguments have the usual form: a batch, and a state of arrays in the parameters' dtype. For all
other arguments they return None, and the general path (`_recurrent_base.py`) converts the arguments or raises errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.autograd import Array, Tensor, is_grad_enabled, of_array
from minirnn.recurrent import sequence
from minirnn.recurrent.state import from_parts
from minirnn_kernels.cell import CELLS

if TYPE_CHECKING:
    from minirnn.nn._recurrent_base import RecurrentCell, RecurrentLayers


def of_cell(cell: RecurrentCell, x: Any, state: Any) -> Any:
    """Return the next state of a cell for x (B, input_size), or None."""
    weights = cell._weights("")
    arrays = _unrecorded_arrays(cell.kind, x, state, weights[1].data)
    if arrays is None:
        return None
    rows, states = arrays[0], arrays[1:]
    if rows.ndim != 2 or rows.shape[1] != cell.input_size or not _all_have_shape(states, (len(rows), cell.hidden_size)):
        return None
    return from_parts([of_array(s) for s in sequence.step(cell.kind, rows, states, weights, **cell._options)])


def of_layers(layers: RecurrentLayers, x: Any, state: Any) -> tuple[Tensor, Any] | None:
    """Return the layers' out and final state for an x with one time step, or None."""
    arrays = _unrecorded_arrays(layers.kind, x, state, layers._weights("_l0")[1].data)
    if arrays is None or layers.bidirectional or (layers.dropout and layers.training):
        return None
    x, states = arrays[0], arrays[1:]
    if x.ndim != 3 or x.shape[2] != layers.input_size:
        return None
    B, T = x.shape[:2] if layers.batch_first else x.shape[1::-1]
    if T != 1 or not _all_have_shape(states, (layers.num_layers, B, layers.hidden_size)):
        return None
    rows, after = stack(layers, x.reshape(B, layers.input_size), list(zip(*states, strict=True)))
    finals = [np.empty_like(s) for s in states]
    for k, stepped in enumerate(after):
        for final, s in zip(finals, stepped, strict=True):
            final[k] = s
    out = rows[:, None] if layers.batch_first else rows[None]
    return of_array(out), from_parts([of_array(final) for final in finals])


def stack(
    layers: RecurrentLayers, x: Array, states: Sequence[Sequence[Array]]
) -> tuple[Array, list[tuple[Array, ...]]]:
    """Compute `RecurrentLayers.step` for layers that are not bidirectional."""
    after = []
    for k in range(layers.num_layers):
        after.append(sequence.step(layers.kind, x, states[k], layers._weights(f"_l{k}"), **layers._options))
        x = after[k][0]
    return x, after


def _unrecorded_arrays(kind: str, x: Any, state: Any, like: Array) -> tuple[Array, ...] | None:
    """Return x and the parts of the state as arrays, or None.

    The result is None if a graph is recorded, if there is no state, or if x or a part is not an array with the type and
    dtype of `like`, the data of a parameter. The caller checks the shapes.
    """
    if is_grad_enabled():
        return None
    count = len(CELLS[kind].states)
    if count == 1:
        given = (x, state)
    elif isinstance(state, (tuple, list)) and len(state) == count:
        given = (x, *state)
    else:
        return None
    arrays = tuple([a.data if isinstance(a, Tensor) else a for a in given])
    for a in arrays:
        if type(a) is not type(like) or a.dtype != like.dtype:
            return None
    return arrays


def _all_have_shape(arrays: Sequence[Array], shape: tuple[int, ...]) -> bool:
    for a in arrays:  # noqa: SIM110  (faster than all() of a generator)
        if a.shape != shape:
            return False
    return True
