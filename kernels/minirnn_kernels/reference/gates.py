"""The gates in NumPy, in place: the reference record of the contract's pointwise level.

Each function repeats one function of `minirnn_kernels/gates.py`, under the same names: `rnn` repeats `rnn_gates`,
`lstm_backward` repeats `lstm_gates_backward`, and so on. The derivations are there. The difference is the use of
memory: every function writes into existing arrays (`out=`), and uses the array of a later result as a buffer for
intermediate products. Contiguous blocks are fastest: on strided views, NumPy takes up to three times as long.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn_kernels.contract import CellGates, Gates

Array = npt.NDArray[Any]

# e^-a overflows to infinity for a << 0, and 1 / (1 + infinity) = 0 is the correct sigmoid. Infinite and NaN arguments
# follow IEEE arithmetic.
quiet = np.errstate(over="ignore", invalid="ignore")


def sigmoid_(a: Array) -> None:
    """Replace a with 1 / (1 + e^-a), in place; repeats `gates.sigmoid` for real numbers."""
    np.negative(a, out=a)
    np.exp(a, out=a)
    a += 1
    np.divide(1, a, out=a)


# ---- RNN -----------------------------------------------------------------------------------------------------------


@quiet
def rnn(a: Array, nonlinearity: str) -> None:
    """Replace a (B, H), the pre-activations, with h."""
    if nonlinearity == "tanh":
        np.tanh(a, out=a)
    else:
        np.maximum(a, 0, out=a)


@quiet
def rnn_backward(h: Array, dh: Array, nonlinearity: str) -> None:
    """Replace dh (B, H) with da."""
    if nonlinearity == "tanh":  # da = dh (1 - h^2)
        slope = h * h
        np.subtract(1, slope, out=slope)
        dh *= slope
    else:
        dh[h <= 0] = 0


# ---- LSTM ----------------------------------------------------------------------------------------------------------


@quiet
def lstm(gates: Array, c_prev: Array, c: Array, h: Array) -> None:
    """Replace gates (4, B, H), the pre-activations, with i, f, g, o, and fill c and h (B, H). c can be c_prev."""
    i, f, g, o = gates
    sigmoid_(gates[:2])
    np.tanh(g, out=g)
    sigmoid_(o)
    np.multiply(i, g, out=h)  # h is a buffer until c is complete
    np.multiply(f, c_prev, out=c)
    c += h
    np.tanh(c, out=h)
    h *= o


# The derivation is above `gates.lstm_gates_backward`. Here the gradient of each gate is a product of three factors:
#
#            activation'     its factor in c, h    upstream
#     da_i =  i (1 - i)   *        g          *        dc
#     da_f =  f (1 - f)   *        c_prev     *        dc
#     da_g =  1 - g^2     *        i          *        dc
#     da_o =  o (1 - o)   *        tanh(c)    *        dh


@quiet
def lstm_backward(gates: Array, c_prev: Array, c: Array, dh: Array, dc: Array, da: Array) -> None:
    """Fill da (4, B, H) from gates (4, B, H), and replace dc (B, H) with dc_prev."""
    i, f, g, o = gates
    da_i, da_f, da_g, da_o = da

    tanh_c = da_g  # da_g is a buffer until da_o is complete
    np.tanh(c, out=tanh_c)
    np.multiply(tanh_c, tanh_c, out=da_o)  # dc += dh o (1 - tanh(c)^2)
    np.subtract(1, da_o, out=da_o)
    da_o *= o
    da_o *= dh
    dc += da_o

    np.multiply(o, o, out=da_o)
    np.subtract(o, da_o, out=da_o)
    da_o *= tanh_c
    da_o *= dh

    np.multiply(gates[:3], gates[:3], out=da[:3])
    np.subtract(gates[:2], da[:2], out=da[:2])
    np.subtract(1, da_g, out=da_g)
    da_i *= g
    da_f *= c_prev
    da_g *= i
    da[:3] *= dc

    dc *= f


# ---- GRU -----------------------------------------------------------------------------------------------------------


@quiet
def gru(gates: Array, h_prev: Array, h: Array) -> None:
    """Replace gates (4, B, H), the pre-activations, with n, r, z, q, and fill h (B, H)."""
    n, r, z, q = gates
    sigmoid_(gates[1:3])
    np.multiply(r, q, out=h)
    n += h
    np.tanh(n, out=n)
    np.subtract(h_prev, n, out=h)  # h = (1 - z) n + z h_prev = n + z (h_prev - n)
    h *= z
    h += n


# The derivation is above `gates.gru_gates_backward`. As products, with dq = da_hn:
#
#     da_n = (1 - n^2) (1 - z) dh       da_r = r (1 - r) q da_n       da_z = z (1 - z) (h_prev - n) dh       dq = r da_n


@quiet
def gru_backward(gates: Array, h_prev: Array, dh: Array, da: Array) -> None:
    """Fill da (4, B, H) from gates (4, B, H), and replace dh (B, H) with z * dh."""
    n, r, z, q = gates
    da_n, da_r, da_z, dq = da

    np.multiply(gates[:3], gates[:3], out=da[:3])
    np.subtract(1, da_n, out=da_n)
    np.subtract(gates[1:3], da[1:3], out=da[1:3])

    np.subtract(h_prev, n, out=dq)  # dq is a buffer until the end
    da_z *= dq
    da_z *= dh
    np.subtract(1, z, out=dq)
    da_n *= dq
    da_n *= dh
    da_r *= q
    da_r *= da_n
    np.multiply(r, da_n, out=dq)

    dh *= z


GATES = Gates(
    name="numpy",
    rnn=CellGates(rnn, rnn_backward),
    lstm=CellGates(lstm, lstm_backward),
    gru=CellGates(gru, gru_backward),
)
