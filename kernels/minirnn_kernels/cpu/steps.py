"""One step of a cell for the record "numba": its results made, its threads chosen. What runs is `cpu/step_kernels.py`.

A call from Python costs as much as some hundred units of a cell, so little happens here: no argument is looked at
unless the compiled function, which takes nothing but contiguous arrays of one dtype, has refused it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np
from numba import types

from minirnn_kernels.contract import Arrays
from minirnn_kernels.cpu import compilation, step_kernels
from minirnn_kernels.cpu import threads as numba_threads
from minirnn_kernels.gates import check_nonlinearity

Array = Any

FEW = 8  # rows; with more, packing the weights for tiles of a product pays
WORTH_THREADS = 1_000_000  # bytes of weights: what one core's second-level cache holds

_STATES = {"rnn": 1, "lstm": 2, "gru": 1}
_VECTORS = {"rnn": 1, "lstm": 1, "gru": 2}


@cache
def _compiled(cell: str, dtype: Any, threads: bool) -> Callable[..., None]:
    """The compiled function of this cell for this dtype: of all units in one part, or of parts on threads."""
    number = types.float32 if dtype == np.float32 else types.float64
    given = [types.Array(number, 2, "C", readonly=True)] * (3 + _STATES[cell])  # x, states, W_ih, W_hh
    given += [types.Array(number, 1, "C", readonly=True)] * _VECTORS[cell]
    given += [types.Array(number, 2, "C")] * _STATES[cell]
    given += [types.int64] * (cell == "rnn")
    function = getattr(step_kernels, f"{cell}_{'parts' if threads else 'units'}")
    return compilation.compiled_for(function, (*given, *[types.int64] * (1 if threads else 2)))


def _run(cell: str, weights: int, given: tuple[Array, ...], others: tuple[Any, ...]) -> None:
    """Compute from `given`, which has `weights` bytes of weights, into the results; these and options are `others`."""
    dtype = given[0].dtype
    try:
        if weights < WORTH_THREADS or perf_counter() < _rest_until or (parts := numba_threads.how_many()) == 1:
            _compiled(cell, dtype, False)(*given, *others, 0, 1)
        else:
            _on_threads(_compiled(cell, dtype, True), weights, (*given, *others, parts))
    except TypeError:  # arrays whose entries don't stand one after the other
        plain = tuple([a if a.flags.c_contiguous and a.flags.aligned else a.copy(order="C") for a in given])
        if all(a is b for a, b in zip(plain, given, strict=True)):
            raise
        _run(cell, weights, plain, others)


# Where something else keeps a core busy, a thread may have to wait until its turn there is over: 8 ms, two hundred
# times as long as a step. Then one thread alone, which waits for nobody, takes the steps for sixteen times as long as
# that lasted, so that waiting costs little of the time, however long it goes on.

_rest_until = 0.0


def _on_threads(function: Callable[..., None], weights: int, arguments: tuple[Any, ...]) -> None:
    global _rest_until
    with numba_threads.turn:
        before = perf_counter()
        function(*arguments)
        took = perf_counter() - before
    if took > 1e-3 + weights / 10e9:  # reading them at 10 GB/s, a tenth of what one core can
        _rest_until = before + 17 * took


def steps(rnn_inference: Any, lstm_inference: Any, gru_inference: Any) -> dict[str, Callable[..., Any]]:
    """The record's functions of a step, by cell. Many rows are left to the functions of sequences, as one time step."""

    def rnn_step(x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array, *, nonlinearity: str = "tanh") -> Array:
        """-> h'; shapes as in `contract`."""
        check_nonlinearity(nonlinearity)
        if len(h) > FEW:
            return rnn_inference(x[None], h, W_ih, W_hh, b, nonlinearity=nonlinearity)[1]
        h_next = np.empty(h.shape, h.dtype)
        relu = int(nonlinearity == "relu")
        _run("rnn", W_ih.nbytes + W_hh.nbytes, (x, h, W_ih, W_hh, b), (h_next, relu))
        return h_next

    def lstm_step(x: Array, h: Array, c: Array, W_ih: Array, W_hh: Array, b: Array) -> Arrays:
        """-> h', c'; shapes as in `contract`."""
        if len(h) > FEW:
            return tuple(lstm_inference(x[None], h, c, W_ih, W_hh, b)[1:])
        made = np.empty(h.shape, h.dtype), np.empty(h.shape, h.dtype)
        _run("lstm", W_ih.nbytes + W_hh.nbytes, (x, h, c, W_ih, W_hh, b), made)
        return made

    def gru_step(x: Array, h: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array) -> Array:
        """-> h'; shapes as in `contract`."""
        if len(h) > FEW:
            return gru_inference(x[None], h, W_ih, W_hh, b_ih, b_hh)[1]
        h_next = np.empty(h.shape, h.dtype)
        _run("gru", W_ih.nbytes + W_hh.nbytes, (x, h, W_ih, W_hh, b_ih, b_hh), (h_next,))
        return h_next

    return {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}
