"""One step of each cell in NumPy, as inference: the equations of `gates.py` on one time step, with nothing kept.

The products are written into one array of pre-activations; from there on every function works in place (`out=`), and
the last one makes the result. At B = 1 what counts is the number of NumPy's calls, not what each of them computes.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn_kernels.gates import check_nonlinearity

Array = npt.NDArray[Any]

# e^-a overflows to infinity for a << 0, and 1 / (1 + infinity) = 0 is the right sigmoid. Infinite and NaN arguments
# pass through as IEEE arithmetic has them.
_quiet = np.errstate(over="ignore", invalid="ignore")


def _sigmoid_(a: Array) -> None:
    np.negative(a, out=a)
    np.exp(a, out=a)
    a += 1
    np.divide(1, a, out=a)


def _sum(x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array) -> Array:
    """x W_ih^T + h W_hh^T + b, a fresh array (B, K)."""
    a = np.matmul(x, W_ih.T)
    a += np.matmul(h, W_hh.T)
    a += b
    return a


@_quiet
def rnn_step(x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array, *, nonlinearity: str = "tanh") -> Array:
    """-> h'; shapes as in `contract`."""
    check_nonlinearity(nonlinearity)
    a = _sum(x, h, W_ih, W_hh, b)
    if nonlinearity == "tanh":
        np.tanh(a, out=a)
    else:
        np.maximum(a, 0, out=a)
    return a


@_quiet
def lstm_step(x: Array, h: Array, c: Array, W_ih: Array, W_hh: Array, b: Array) -> tuple[Array, Array]:
    """-> h', c'; shapes as in `contract`."""
    H = h.shape[1]
    a = _sum(x, h, W_ih, W_hh, b)
    g = np.tanh(a[:, 2 * H : 3 * H])
    _sigmoid_(a)  # of g's block too, to nobody's use: one call for the row is cheaper than two for its parts
    c_next = a[:, H : 2 * H] * c
    g *= a[:, :H]
    c_next += g
    h_next = np.tanh(c_next)
    h_next *= a[:, 3 * H :]
    return h_next, c_next


@_quiet
def gru_step(x: Array, h: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array) -> Array:
    """-> h'; shapes as in `contract`."""
    H = h.shape[1]
    a_ih, a_hh = np.matmul(x, W_ih.T), np.matmul(h, W_hh.T)
    a_ih += b_ih
    a_hh += b_hh
    rz = a_ih[:, : 2 * H]
    rz += a_hh[:, : 2 * H]
    _sigmoid_(rz)
    a_hn = a_hh[:, 2 * H :]
    a_hn *= rz[:, :H]
    a_hn += a_ih[:, 2 * H :]
    n = np.tanh(a_hn, out=a_hn)
    h_next = h - n  # h' = (1 - z) n + z h = n + z (h - n)
    h_next *= rz[:, H:]
    h_next += n
    return h_next
