"""The gates of a step in one pass over memory, a vector of units at a time: the second of three stages.

The first stage, `cpu/loops.py`, has the same equations for one unit at a time, and computes one exponential at a time.
Here the functions of `emit/gates.py` compute as many units at once as a vector holds, and the values stay in registers
from loading the pre-activations to storing h. The third stage, `sequence_pass.py`, applies the same functions while the
product that made the pre-activations is still in the cache.

Large batches are divided among threads by rows. `part` is the number of a thread's part, of `parts`; the arrays are
those of `contract.CellGates`.
"""

from typing import Any

import numpy as np
from numba import prange

from minirnn_kernels.contract import CellGates, Gates
from minirnn_kernels.cpu import cost_model, launch
from minirnn_kernels.cpu.compilation import compiled, compiled_threads
from minirnn_kernels.cpu.emit.intrinsics import (
    at,
    gru_backward,
    gru_gates,
    gru_output,
    lanes,
    lstm_backward,
    lstm_cell,
    lstm_output,
    rnn_relu,
    rnn_relu_backward,
    rnn_tanh,
    rnn_tanh_backward,
)

Array = Any


@compiled
def rnn_rows(part: int, parts: int, a: Array, relu: bool) -> None:
    zeros = np.zeros((1, lanes(a)), a.dtype)  # no biases: a already includes them
    b, (B, H) = at(zeros, 0, 0), a.shape
    for j in range(B * part // parts, B * (part + 1) // parts):
        for u in range(0, H, lanes(a)):
            place = at(a, j, u)
            if relu:
                rnn_relu(a, H - u, (place, b), (place,))
            else:
                rnn_tanh(a, H - u, (place, b), (place,))


@compiled
def rnn_backward_rows(part: int, parts: int, h: Array, dh: Array, relu: bool) -> None:
    zeros = np.zeros((1, lanes(h)), h.dtype)  # no dout: dh is the whole gradient of h
    dout, (B, H) = at(zeros, 0, 0), h.shape
    for j in range(B * part // parts, B * (part + 1) // parts):
        for u in range(0, H, lanes(h)):
            place = at(dh, j, u)
            if relu:
                rnn_relu_backward(h, H - u, (at(h, j, u), dout, place), (place,))
            else:
                rnn_tanh_backward(h, H - u, (at(h, j, u), dout, place), (place,))


@compiled
def lstm_rows(part: int, parts: int, gates: Array, c_prev: Array, c: Array, h: Array) -> None:
    zeros = np.zeros((1, lanes(c)), c.dtype)
    b, (B, H) = at(zeros, 0, 0), c.shape
    i, f, g, o = gates[0], gates[1], gates[2], gates[3]
    for j in range(B * part // parts, B * (part + 1) // parts):
        for u in range(0, H, lanes(c)):
            a = (at(i, j, u), at(f, j, u), at(g, j, u), at(o, j, u))
            lstm_cell(c, H - u, (*a, b, b, b, b, at(c_prev, j, u)), (*a, at(c, j, u)))
        for u in range(0, H, lanes(c)):
            lstm_output(c, H - u, (at(o, j, u), at(c, j, u)), (at(h, j, u),))


@compiled
def lstm_backward_rows(
    part: int, parts: int, gates: Array, c_prev: Array, c: Array, dh: Array, dc: Array, da: Array
) -> None:
    zeros = np.zeros((1, lanes(c)), c.dtype)
    dout, (B, H) = at(zeros, 0, 0), c.shape
    i, f, g, o = gates[0], gates[1], gates[2], gates[3]
    da_i, da_f, da_g, da_o = da[0], da[1], da[2], da[3]
    for j in range(B * part // parts, B * (part + 1) // parts):
        for u in range(0, H, lanes(c)):
            given = (at(i, j, u), at(f, j, u), at(g, j, u), at(o, j, u), at(c_prev, j, u), at(c, j, u), dout)
            dc_ = at(dc, j, u)
            filled = (at(da_i, j, u), at(da_f, j, u), at(da_g, j, u), at(da_o, j, u), dc_)
            lstm_backward(c, H - u, (*given, at(dh, j, u), dc_), filled)


@compiled
def gru_rows(part: int, parts: int, gates: Array, h_prev: Array, h: Array) -> None:
    zeros = np.zeros((1, lanes(h)), h.dtype)
    b, (B, H) = at(zeros, 0, 0), h.shape
    n, r, z, q = gates[0], gates[1], gates[2], gates[3]
    for j in range(B * part // parts, B * (part + 1) // parts):
        for u in range(0, H, lanes(h)):
            a = (at(r, j, u), at(z, j, u))
            gru_gates(h, H - u, (*a, b, b), a)
        for u in range(0, H, lanes(h)):
            n_, q_ = at(n, j, u), at(q, j, u)
            given = (n_, at(r, j, u), at(z, j, u), q_, b, b, at(h_prev, j, u))
            gru_output(h, H - u, given, (n_, q_, at(h, j, u)))


@compiled
def gru_backward_rows(part: int, parts: int, gates: Array, h_prev: Array, dh: Array, da: Array) -> None:
    zeros = np.zeros((1, lanes(dh)), dh.dtype)
    dout, (B, H) = at(zeros, 0, 0), dh.shape
    n, r, z, q = gates[0], gates[1], gates[2], gates[3]
    da_n, da_r, da_z, dq = da[0], da[1], da[2], da[3]
    for j in range(B * part // parts, B * (part + 1) // parts):
        for u in range(0, H, lanes(dh)):
            given = (at(n, j, u), at(r, j, u), at(z, j, u), at(q, j, u), at(h_prev, j, u), dout)
            dh_ = at(dh, j, u)
            filled = (at(da_n, j, u), at(da_r, j, u), at(da_z, j, u), at(dq, j, u), dh_)
            gru_backward(dh, H - u, (*given, dh_), filled)


# ---- the parts on threads --------------------------------------------------------------------------------------------


@compiled_threads
def rnn_threads(parts: int, a: Array, relu: bool) -> None:
    for part in prange(parts):
        rnn_rows(part, parts, a, relu)


@compiled_threads
def rnn_backward_threads(parts: int, h: Array, dh: Array, relu: bool) -> None:
    for part in prange(parts):
        rnn_backward_rows(part, parts, h, dh, relu)


@compiled_threads
def lstm_threads(parts: int, gates: Array, c_prev: Array, c: Array, h: Array) -> None:
    for part in prange(parts):
        lstm_rows(part, parts, gates, c_prev, c, h)


@compiled_threads
def lstm_backward_threads(parts: int, gates: Array, c_prev: Array, c: Array, dh: Array, dc: Array, da: Array) -> None:
    for part in prange(parts):
        lstm_backward_rows(part, parts, gates, c_prev, c, dh, dc, da)


@compiled_threads
def gru_threads(parts: int, gates: Array, h_prev: Array, h: Array) -> None:
    for part in prange(parts):
        gru_rows(part, parts, gates, h_prev, h)


@compiled_threads
def gru_backward_threads(parts: int, gates: Array, h_prev: Array, dh: Array, da: Array) -> None:
    for part in prange(parts):
        gru_backward_rows(part, parts, gates, h_prev, dh, da)


def _call(one: Any, several: Any, like: Array, *arguments: Any) -> None:
    """Call `one` in this thread, or `several` if `like`, an array (B, H), has enough units for several threads."""
    parts = launch.thread_count() if like.size >= cost_model.MIN_UNITS_FOR_THREADS else 1
    if parts == 1:
        one(0, 1, *arguments)
    else:
        with launch.turn:
            several(parts, *arguments)


# ---- the record ----------------------------------------------------------------------------------------------------


def _rnn(a: Array, nonlinearity: str) -> None:
    _call(rnn_rows, rnn_threads, a, a, nonlinearity == "relu")


def _rnn_backward(h: Array, dh: Array, nonlinearity: str) -> None:
    _call(rnn_backward_rows, rnn_backward_threads, h, h, dh, nonlinearity == "relu")


def _lstm(gates: Array, c_prev: Array, c: Array, h: Array) -> None:
    _call(lstm_rows, lstm_threads, c, gates, c_prev, c, h)


def _lstm_backward(gates: Array, c_prev: Array, c: Array, dh: Array, dc: Array, da: Array) -> None:
    _call(lstm_backward_rows, lstm_backward_threads, c, gates, c_prev, c, dh, dc, da)


def _gru(gates: Array, h_prev: Array, h: Array) -> None:
    _call(gru_rows, gru_threads, h, gates, h_prev, h)


def _gru_backward(gates: Array, h_prev: Array, dh: Array, da: Array) -> None:
    _call(gru_backward_rows, gru_backward_threads, dh, gates, h_prev, dh, da)


GATES = Gates(
    name="fused",
    rnn=CellGates(_rnn, _rnn_backward),
    lstm=CellGates(_lstm, _lstm_backward),
    gru=CellGates(_gru, _gru_backward),
)
