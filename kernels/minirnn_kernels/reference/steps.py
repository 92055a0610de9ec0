"""One step of inference for each cell in NumPy, without a cache.

`rnn_step` repeats `rnn_gates` of `minirnn_kernels/gates.py`, `lstm_step` repeats `lstm_gates`, `gru_step` repeats
`gru_gates`. The products go into one array of pre-activations; the functions after them work in place (`out=`), and the
last one creates the result. At B = 1 the time depends on the number of NumPy calls, not on the size of the arrays.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn_kernels.gates import check_nonlinearity
from minirnn_kernels.reference.gates import quiet, sigmoid_

Array = npt.NDArray[Any]


def _sum(x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array) -> Array:
    """Return x W_ih^T + h W_hh^T + b as a new array (B, K)."""
    a = np.matmul(x, W_ih.T)
    a += np.matmul(h, W_hh.T)
    a += b
    return a


@quiet
def rnn_step(x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array, *, nonlinearity: str = "tanh") -> Array:
    """Return h'; shapes as in `contract`."""
    check_nonlinearity(nonlinearity)
    a = _sum(x, h, W_ih, W_hh, b)
    if nonlinearity == "tanh":
        np.tanh(a, out=a)
    else:
        np.maximum(a, 0, out=a)
    return a


@quiet
def lstm_step(x: Array, h: Array, c: Array, W_ih: Array, W_hh: Array, b: Array) -> tuple[Array, Array]:
    """Return h', c'; shapes as in `contract`."""
    H = h.shape[1]
    a = _sum(x, h, W_ih, W_hh, b)
    g = np.tanh(a[:, 2 * H : 3 * H])
    sigmoid_(a)  # includes g's block, whose result is unused: one call for the whole row is cheaper than two
    c_next = a[:, H : 2 * H] * c
    g *= a[:, :H]
    c_next += g
    h_next = np.tanh(c_next)
    h_next *= a[:, 3 * H :]
    return h_next, c_next


@quiet
def gru_step(x: Array, h: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array) -> Array:
    """Return h'; shapes as in `contract`."""
    H = h.shape[1]
    a_ih, a_hh = np.matmul(x, W_ih.T), np.matmul(h, W_hh.T)
    a_ih += b_ih
    a_hh += b_hh
    rz = a_ih[:, : 2 * H]
    rz += a_hh[:, : 2 * H]
    sigmoid_(rz)
    a_hn = a_hh[:, 2 * H :]
    a_hn *= rz[:, :H]
    a_hn += a_ih[:, 2 * H :]
    n = np.tanh(a_hn, out=a_hn)
    h_next = h - n  # h' = (1 - z) n + z h = n + z (h - n)
    h_next *= rz[:, H:]
    h_next += n
    return h_next
