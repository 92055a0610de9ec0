"""One step of a cell for a few rows, for the record "numba"; `emit/step.py` has the instructions.

A call from Python costs as much as a hundred units of a cell, so the Python code does little. It checks the arguments
only if the compiled function, which takes only contiguous arrays of one dtype, has rejected them.

If the weights do not fit in the L2 cache of a core, memory bandwidth limits the speed. Two threads, each with half of
the units, then have twice the cache.
"""

from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any

import numba
import numpy as np
from numba import prange, types

from minirnn_kernels.cell import CELLS, GRU, LSTM, RNN, Cell
from minirnn_kernels.contract import Arrays
from minirnn_kernels.cpu import compilation, cost_model, launch
from minirnn_kernels.cpu.compilation import compiled, compiled_threads
from minirnn_kernels.cpu.emit.intrinsics import lanes
from minirnn_kernels.cpu.emit.step import gru_block, lstm_block, relu_block, tanh_block
from minirnn_kernels.cpu.memory import contiguous
from minirnn_kernels.gates import Array, check_nonlinearity
from minirnn_kernels.reference.sequences import accepts
from minirnn_kernels.validation import check_step

RNN_GATES, LSTM_GATES, GRU_GATES = (len(cell.gates) for cell in (RNN, LSTM, GRU))

# ---- compiled: all units, and the units in parts ---------------------------------------------------------------------
#
# The arrays are the arguments and results of a step, as in `contract.CellKernels`. A thread's part is a range of units,
# for every row of the batch: its weights stay in the cache of its core from step to step.


@compiled
def _first_unit(x: Array, H: int, part: int, parts: int) -> int:
    """Return the first unit of a part: a multiple of the lanes, or H."""
    blocks = (H + lanes(x) - 1) // lanes(x)
    return min(H, blocks * part // parts * lanes(x))


@compiled
def _fit(gates: int, x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array) -> bool:
    """Return whether the shapes belong together: the blocks read these arrays by address."""
    (B, I), H = x.shape, h.shape[1]
    K = gates * H
    return h.shape[0] == B and W_ih.shape == (K, I) and W_hh.shape == (K, H) and len(b) == K


@compiled
def _rnn_units(
    x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array, h_next: Array, relu: int, part: int, parts: int
) -> bool:
    """Fill h_next for the units of a part; return False, with nothing done, if the shapes do not fit."""
    if not _fit(RNN_GATES, x, h, W_ih, W_hh, b):
        return False
    H = h.shape[1]
    for unit in range(_first_unit(x, H, part, parts), _first_unit(x, H, part + 1, parts), lanes(x)):
        for row in range(len(x)):
            if relu:
                relu_block(x, h, W_ih, W_hh, b, h_next, row, unit)
            else:
                tanh_block(x, h, W_ih, W_hh, b, h_next, row, unit)
    return True


@compiled
def _lstm_units(
    x: Array,
    h: Array,
    c: Array,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    h_next: Array,
    c_next: Array,
    part: int,
    parts: int,
) -> bool:
    if not _fit(LSTM_GATES, x, h, W_ih, W_hh, b) or c.shape != h.shape:
        return False
    H = h.shape[1]
    for unit in range(_first_unit(x, H, part, parts), _first_unit(x, H, part + 1, parts), lanes(x)):
        for row in range(len(x)):
            lstm_block(x, h, c, W_ih, W_hh, b, h_next, c_next, row, unit)
    return True


@compiled
def _gru_units(
    x: Array, h: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, h_next: Array, part: int, parts: int
) -> bool:
    if not _fit(GRU_GATES, x, h, W_ih, W_hh, b_ih) or b_hh.shape != b_ih.shape:
        return False
    H = h.shape[1]
    for unit in range(_first_unit(x, H, part, parts), _first_unit(x, H, part + 1, parts), lanes(x)):
        for row in range(len(x)):
            gru_block(x, h, W_ih, W_hh, b_ih, b_hh, h_next, row, unit)
    return True


# The threads combine their answers as a product, because Numba has no reduction by `&=`.


@compiled_threads
def _rnn_parts(x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array, h_next: Array, relu: int, parts: int) -> bool:
    fits = 1
    for part in prange(parts):
        fits *= _rnn_units(x, h, W_ih, W_hh, b, h_next, relu, part, parts)
    return fits == 1


@compiled_threads
def _lstm_parts(
    x: Array, h: Array, c: Array, W_ih: Array, W_hh: Array, b: Array, h_next: Array, c_next: Array, parts: int
) -> bool:
    fits = 1
    for part in prange(parts):
        fits *= _lstm_units(x, h, c, W_ih, W_hh, b, h_next, c_next, part, parts)
    return fits == 1


@compiled_threads
def _gru_parts(
    x: Array, h: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, h_next: Array, parts: int
) -> bool:
    fits = 1
    for part in prange(parts):
        fits *= _gru_units(x, h, W_ih, W_hh, b_ih, b_hh, h_next, part, parts)
    return fits == 1


UNITS_AND_PARTS = {
    "rnn": (_rnn_units, _rnn_parts),
    "lstm": (_lstm_units, _lstm_parts),
    "gru": (_gru_units, _gru_parts),
}


# ---- the call --------------------------------------------------------------------------------------------------------


@cache
def _compiled(cell_name: str, dtype: Any, threads: bool) -> Callable[..., bool]:
    """Return the function of this cell compiled for this dtype: for all units in one part, or for parts on threads."""
    cell, number = CELLS[cell_name], numba.from_dtype(dtype)
    matrix = types.Array(number, 2, "C", readonly=True)
    arguments = [matrix] * (3 + len(cell.states))  # x, states, W_ih, W_hh
    arguments += [types.Array(number, 1, "C", readonly=True)] * len(cell.biases)
    arguments += [types.Array(number, 2, "C")] * len(cell.states)
    arguments += [types.int64] * (bool(cell.nonlinearities) + (1 if threads else 2))
    return compilation.compiled_for(UNITS_AND_PARTS[cell_name][threads], tuple(arguments))


def _run(cell_name: str, weight_bytes: int, arrays: tuple[Array, ...], others: tuple[Any, ...]) -> None:
    """Compute a step. `arrays` are the arguments of the step; `others` are the arrays to fill, then options."""
    dtype = arrays[0].dtype
    try:
        if (
            weight_bytes < cost_model.MIN_WEIGHT_BYTES_FOR_THREADS
            or perf_counter() < _rest_until
            or (parts := launch.thread_count()) == 1
        ):
            fits = _compiled(cell_name, dtype, False)(*arrays, *others, 0, 1)
        else:
            fits = _on_threads(_compiled(cell_name, dtype, True), weight_bytes, (*arrays, *others, parts))
    except TypeError:  # the compiled function takes only contiguous arrays
        plain = tuple(map(contiguous, arrays))
        if all(a is b for a, b in zip(plain, arrays, strict=True)):
            raise
        _run(cell_name, weight_bytes, plain, others)
    else:
        if not fits:
            check_step(CELLS[cell_name], accepts, arrays)


_rest_until = 0.0  # on the clock of `perf_counter`: until then, steps avoid threads; see `cost_model.rest_after_step`


def _on_threads(function: Callable[..., bool], weight_bytes: int, arguments: tuple[Any, ...]) -> bool:
    global _rest_until
    with launch.turn:
        before = perf_counter()
        fits = function(*arguments)
        after = perf_counter()
    if rest := cost_model.rest_after_step(after - before, weight_bytes):
        _rest_until = after + rest
    return fits


def steps(rnn_inference: Any, lstm_inference: Any, gru_inference: Any) -> dict[str, Callable[..., Any]]:
    """Return the record's step functions, by cell. A step of many rows is computed as a sequence of one step."""

    def rnn_step(x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array, *, nonlinearity: str = "tanh") -> Array:
        """Return h'; shapes as in `contract`."""
        check_nonlinearity(nonlinearity)
        if len(h) > cost_model.MAX_ROWS_FOR_STEP_KERNELS:
            check_step(RNN, accepts, (x, h, W_ih, W_hh, b))
            return rnn_inference(x[None], h, W_ih, W_hh, b, nonlinearity=nonlinearity)[1]
        h_next = np.empty(h.shape, h.dtype)
        relu = int(nonlinearity == "relu")
        _run("rnn", W_ih.nbytes + W_hh.nbytes, (x, h, W_ih, W_hh, b), (h_next, relu))
        return h_next

    def lstm_step(x: Array, h: Array, c: Array, W_ih: Array, W_hh: Array, b: Array) -> Arrays:
        """Return h' and c'; shapes as in `contract`."""
        if len(h) > cost_model.MAX_ROWS_FOR_STEP_KERNELS:
            check_step(LSTM, accepts, (x, h, c, W_ih, W_hh, b))
            return tuple(lstm_inference(x[None], h, c, W_ih, W_hh, b)[1:])
        made = np.empty(h.shape, h.dtype), np.empty(h.shape, h.dtype)
        _run("lstm", W_ih.nbytes + W_hh.nbytes, (x, h, c, W_ih, W_hh, b), made)
        return made

    def gru_step(x: Array, h: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array) -> Array:
        """Return h'; shapes as in `contract`."""
        if len(h) > cost_model.MAX_ROWS_FOR_STEP_KERNELS:
            check_step(GRU, accepts, (x, h, W_ih, W_hh, b_ih, b_hh))
            return gru_inference(x[None], h, W_ih, W_hh, b_ih, b_hh)[1]
        h_next = np.empty(h.shape, h.dtype)
        _run("gru", W_ih.nbytes + W_hh.nbytes, (x, h, W_ih, W_hh, b_ih, b_hh), (h_next,))
        return h_next

    of_cell: dict[str, Callable[..., Any]] = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}
    return {name: _explained(CELLS[name], step) for name, step in of_cell.items()}


def _explained(cell: Cell, step: Callable[..., Any]) -> Callable[..., Any]:
    """Return the step with the errors of `check_step` in place of those that a wrong type of argument causes in it."""

    def explained(*arguments: Any, **options: Any) -> Any:
        try:
            return step(*arguments, **options)
        except Exception:
            check_step(cell, accepts, arguments)
            raise

    explained.checks = True  # type: ignore[attr-defined]  # `validation.validated` need not check the arguments again
    return explained
