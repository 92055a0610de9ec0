"""The gates as plain loops, row by row and unit by unit, compiled by Numba: the first of three stages.

    1. this file: one number at a time. The equations of `gates.py` under the same names
    2. vectors: the same equations for many units at once, in one pass over a row
    3. whole sequences: products and gates together, on threads

Read this file together with `gates.py`, which has the derivations. `reference/sequences.py` has the sequences around
these gates. With NUMBA_DISABLE_JIT=1 the same lines run as plain Python, slowly, so that you can step through them.

Each function repeats one from `gates.py`, but writes its result into the given arrays: `rnn_tanh` and `rnn_relu` are
the two cases of `rnn_gates`, `lstm` is `lstm_gates`, `gru` is `gru_gates`; likewise for their backward functions.

Numbers are loaded and stored in the arrays' dtype. In between, Numba converts a number to float64 if it meets a
constant such as 1.0: with float32 arrays, the exp in a sigmoid is computed in float32, the rest of the sigmoid in
float64, and the result is rounded when it is stored. This is accurate, but slower than float32 alone; the next stage
stays in one dtype.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn_kernels.contract import CellGates, Gates
from minirnn_kernels.reference.sequences import sequences

try:
    import numba

    from minirnn_kernels.cpu.compilation import compiled
except ImportError as error:
    raise ImportError(f"the loops kernels are compiled by Numba, which can't be imported here: {error}") from error

Array = npt.NDArray[Any]


def _compiled(function: Callable[..., Any]) -> Any:
    """Compile the function at its first call for each dtype; if it runs as plain Python, silence its warnings."""
    return np.errstate(over="ignore", invalid="ignore")(function) if numba.config.DISABLE_JIT else compiled(function)


@_compiled
def sigmoid(x: float) -> float:
    """Return 1 / (1 + e^-x), accurate for large |x|."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)  # x is negative, so exp cannot overflow
    return e / (1.0 + e)


# ---- RNN -----------------------------------------------------------------------------------------------------------


@_compiled
def rnn_tanh(a: Array) -> None:
    """Turn a (B, H), the pre-activations, into h."""
    B, H = a.shape
    for b in range(B):
        for k in range(H):
            a[b, k] = math.tanh(a[b, k])


@_compiled
def rnn_relu(a: Array) -> None:
    """Turn a (B, H), the pre-activations, into h."""
    B, H = a.shape
    for b in range(B):
        for k in range(H):
            if a[b, k] <= 0:  # NaN stays NaN
                a[b, k] = 0


@_compiled
def rnn_tanh_backward(h: Array, dh: Array) -> None:
    """Turn dh (B, H) into da."""
    B, H = h.shape
    for b in range(B):
        for k in range(H):
            dh[b, k] = dh[b, k] * (1.0 - h[b, k] * h[b, k])


@_compiled
def rnn_relu_backward(h: Array, dh: Array) -> None:
    """Turn dh (B, H) into da."""
    B, H = h.shape
    for b in range(B):
        for k in range(H):
            if h[b, k] <= 0:
                dh[b, k] = 0


def rnn(a: Array, nonlinearity: str) -> None:
    """Turn a (B, H), the pre-activations, into h."""
    (rnn_tanh if nonlinearity == "tanh" else rnn_relu)(a)


def rnn_backward(h: Array, dh: Array, nonlinearity: str) -> None:
    """Turn dh (B, H) into da."""
    (rnn_tanh_backward if nonlinearity == "tanh" else rnn_relu_backward)(h, dh)


# ---- LSTM ----------------------------------------------------------------------------------------------------------


@_compiled
def lstm(gates: Array, c_prev: Array, c: Array, h: Array) -> None:
    """Turn gates (4, B, H), the pre-activations, into i, f, g, o, and fill c and h (B, H). c can be c_prev."""
    _, B, H = gates.shape
    for b in range(B):
        for k in range(H):
            i = sigmoid(gates[0, b, k])
            f = sigmoid(gates[1, b, k])
            g = math.tanh(gates[2, b, k])
            o = sigmoid(gates[3, b, k])
            c_new = f * c_prev[b, k] + i * g
            gates[0, b, k], gates[1, b, k], gates[2, b, k], gates[3, b, k] = i, f, g, o
            c[b, k] = c_new
            h[b, k] = o * math.tanh(c_new)


@_compiled
def lstm_backward(gates: Array, c_prev: Array, c: Array, dh: Array, dc: Array, da: Array) -> None:
    """Fill da (4, B, H), given the gates (4, B, H), and turn dc (B, H) into dc_prev."""
    _, B, H = gates.shape
    for b in range(B):
        for k in range(H):
            i, f, g, o = gates[0, b, k], gates[1, b, k], gates[2, b, k], gates[3, b, k]
            tanh_c = math.tanh(c[b, k])
            do = dh[b, k] * tanh_c
            dc_all = dc[b, k] + dh[b, k] * o * (1.0 - tanh_c * tanh_c)
            di = dc_all * g
            df = dc_all * c_prev[b, k]
            dg = dc_all * i
            dc[b, k] = dc_all * f
            da[0, b, k] = di * i * (1.0 - i)
            da[1, b, k] = df * f * (1.0 - f)
            da[2, b, k] = dg * (1.0 - g * g)
            da[3, b, k] = do * o * (1.0 - o)


# ---- GRU -----------------------------------------------------------------------------------------------------------


@_compiled
def gru(gates: Array, h_prev: Array, h: Array) -> None:
    """Turn gates (4, B, H), the pre-activations of n, r, z and q = a_hn, into n, r, z, q, and fill h (B, H)."""
    _, B, H = gates.shape
    for b in range(B):
        for k in range(H):
            r = sigmoid(gates[1, b, k])
            z = sigmoid(gates[2, b, k])
            n = math.tanh(gates[0, b, k] + r * gates[3, b, k])
            gates[0, b, k], gates[1, b, k], gates[2, b, k] = n, r, z
            h[b, k] = (1.0 - z) * n + z * h_prev[b, k]


@_compiled
def gru_backward(gates: Array, h_prev: Array, dh: Array, da: Array) -> None:
    """Fill da (4, B, H), given the gates (4, B, H), and turn dh (B, H) into z * dh."""
    _, B, H = gates.shape
    for b in range(B):
        for k in range(H):
            n, r, z, q = gates[0, b, k], gates[1, b, k], gates[2, b, k], gates[3, b, k]
            dn = dh[b, k] * (1.0 - z)
            dz = dh[b, k] * (h_prev[b, k] - n)
            da_n = dn * (1.0 - n * n)
            dr = da_n * q
            da[0, b, k] = da_n
            da[1, b, k] = dr * r * (1.0 - r)
            da[2, b, k] = dz * z * (1.0 - z)
            da[3, b, k] = da_n * r
            dh[b, k] = dh[b, k] * z


GATES = Gates(
    name="loops",
    rnn=CellGates(rnn, rnn_backward),
    lstm=CellGates(lstm, lstm_backward),
    gru=CellGates(gru, gru_backward),
)
KERNELS = sequences("loops", GATES)
