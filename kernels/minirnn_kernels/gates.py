"""The equations of the cells, from pre-activations to states, forward and backward.

This file is the definition of RNN, LSTM and GRU. `reference/`, `cpu/` and `cuda/` repeat the equations in other forms
(in place, on vectors, in CUDA C++), and `proof/` compares them with this file. The matrix products around the gates are
elsewhere: those of a single step in `minirnn.recurrent.cells`, those of a whole sequence in the kernels.

Every function is pure and calls only NumPy functions, so the same lines run on float arrays, on complex arrays (for the
complex step, which computes derivatives without subtracting), on objects that implement NumPy's protocols and record a
graph, and on CuPy arrays. Shapes: the last axis holds the blocks of the gates, H columns each; any number of axes can
come before it. The results have the dtype of the arguments.

Notation: s is the logistic sigmoid, * is elementwise, dq is the derivative of the loss with respect to q. The
derivatives of both activations are functions of their values, so the pre-activations need not be stored:

    s'(a) = s(a) (1 - s(a))         tanh'(a) = 1 - tanh(a)^2
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn_kernels.cell import RNN

Array = Any  # an ndarray, or an object that implements NumPy's functions


def check_nonlinearity(nonlinearity: str) -> None:
    """Raise ValueError unless the RNN has this nonlinearity."""
    if nonlinearity not in RNN.nonlinearities:
        expected = ", ".join(map(repr, RNN.nonlinearities))
        raise ValueError(f"nonlinearity is {nonlinearity!r}, expected one of {expected}")


# The textbook form 1 / (1 + e^-x) overflows for x << 0, and e^x / (1 + e^x) overflows for x >> 0. With e = e^-|x| <= 1
# nothing overflows, and the sign of x decides whether the numerator is 1 or e. where() replaces abs(), because abs() is
# not analytic and would drop the imaginary part of a complex step.
def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x), accurate for large and small x; any shape, real or complex."""
    positive = x >= 0
    e = np.exp(np.where(positive, -x, x))
    return np.where(positive, 1, e) / (1 + e)


def _real(x: Array) -> Array:
    """Return the part of x that decides the side of a kink: its real part, or x itself if x has no real part."""
    return getattr(x, "real", x)


# ---- RNN (Elman 1990) ----------------------------------------------------------------------------------------------
#
#     h = tanh(a)   or   h = relu(a) = max(a, 0)


def rnn_gates(a: Array, nonlinearity: str = "tanh") -> Array:
    """Return the hidden state h (..., H) for the pre-activation a (..., H); nonlinearity is "tanh" or "relu"."""
    check_nonlinearity(nonlinearity)
    if nonlinearity == "tanh":
        return np.tanh(a)
    return np.where(_real(a) <= 0, 0, a)  # this form keeps NaN


#     tanh:  da = dh * (1 - h^2)
#     relu:  da = dh where h > 0, else 0; the derivative at the kink is defined as 0, as in PyTorch


def rnn_gates_backward(dh: Array, h: Array, nonlinearity: str = "tanh") -> Array:
    """Return da (..., H) for dh (..., H) and the h that `rnn_gates` returned."""
    check_nonlinearity(nonlinearity)
    if nonlinearity == "tanh":
        return dh * (1 - h * h)
    return np.where(_real(h) <= 0, 0, dh)


# ---- LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000) ----------------
#
#     i, f, o = s(a_i), s(a_f), s(a_o)        how much to write, to keep, to show
#     g       = tanh(a_g)                     what to write
#     c       = f * c_prev + i * g
#     h       = o * tanh(c)


def lstm_gates(a: Array, c_prev: Array) -> tuple[Array, Array, tuple[Array, ...]]:
    """Return h (..., H), c (..., H), cache for pre-activations a (..., 4H), in the order i, f, g, o, and c_prev."""
    H = a.shape[-1] // 4
    i = sigmoid(a[..., :H])
    f = sigmoid(a[..., H : 2 * H])
    g = np.tanh(a[..., 2 * H : 3 * H])
    o = sigmoid(a[..., 3 * H :])
    c = f * c_prev + i * g
    tanh_c = np.tanh(c)
    h = o * tanh_c
    return h, c, (i, f, g, o, c_prev, tanh_c)


# c affects the loss in two ways: through h of this step, and directly as c_prev of the next step (the argument dc). The
# path through h adds dh * dh/dc = dh * o * (1 - tanh(c)^2). Once dc includes both paths, the equations of c and h give
#
#     do = dh * tanh(c)       di = dc * g       df = dc * c_prev       dg = dc * i       dc_prev = dc * f
#
# The derivative of each gate's activation then gives da_i = di * i (1 - i), ..., da_g = dg * (1 - g^2). Along the
# path from c to c the only factor is f: where f = 1, a gradient survives any number of steps.


def lstm_gates_backward(dh: Array, dc: Array, cache: tuple[Array, ...]) -> tuple[Array, Array]:
    """Return da (..., 4H), dc_prev (..., H) for dh, dc (..., H), the gradients of `lstm_gates`' results."""
    i, f, g, o, c_prev, tanh_c = cache
    do = dh * tanh_c
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    di = dc * g
    df = dc * c_prev
    dg = dc * i
    dc_prev = dc * f
    da = np.concatenate([di * i * (1 - i), df * f * (1 - f), dg * (1 - g * g), do * o * (1 - o)], axis=-1)
    return da, dc_prev


# ---- GRU (Cho et al. 2014; "reset after" the product, as in cuDNN and PyTorch) -------------------------------------
#
#     r = s(a_ih_r + a_hh_r)                  how much of the past the candidate sees
#     z = s(a_ih_z + a_hh_z)                  how much of the past is kept
#     n = tanh(a_ih_n + r * a_hh_n)
#     h = (1 - z) * n + z * h_prev
#
# a_ih = W_ih x + b_ih and a_hh = W_hh h_prev + b_hh are separate arguments, because r multiplies only one of them.


def gru_gates(a_ih: Array, a_hh: Array, h_prev: Array) -> tuple[Array, tuple[Array, ...]]:
    """Return h (..., H), cache for pre-activations a_ih, a_hh (..., 3H), in the order r, z, n, and h_prev."""
    H = h_prev.shape[-1]
    r = sigmoid(a_ih[..., :H] + a_hh[..., :H])
    z = sigmoid(a_ih[..., H : 2 * H] + a_hh[..., H : 2 * H])
    a_hn = a_hh[..., 2 * H :]
    n = np.tanh(a_ih[..., 2 * H :] + r * a_hn)
    h = (1 - z) * n + z * h_prev
    return h, (r, z, n, a_hn, h_prev)


#     dn = dh * (1 - z)       dz = dh * (h_prev - n)       dh_prev = dh * z    (the part that bypasses the product)
#     da_n = dn * (1 - n^2)
#     dr = da_n * a_hn        da_hn = da_n * r
#
# r and z depend on a_ih + a_hh, so both have the same gradient there; in the third block they differ by the factor r.


def gru_gates_backward(dh: Array, cache: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    """Return da_ih (..., 3H), da_hh (..., 3H), dh_prev (..., H) for dh (..., H), the gradient of `gru_gates`' h."""
    r, z, n, a_hn, h_prev = cache
    dz = dh * (h_prev - n)
    da_n = dh * (1 - z) * (1 - n * n)
    dr = da_n * a_hn
    da_r = dr * r * (1 - r)
    da_z = dz * z * (1 - z)
    da_ih = np.concatenate([da_r, da_z, da_n], axis=-1)
    da_hh = np.concatenate([da_r, da_z, da_n * r], axis=-1)
    return da_ih, da_hh, dh * z


# ---- every cell in one calling convention --------------------------------------------------------------------------
#
# For code that treats all cells alike. The functions below only rearrange arguments and results of those above.


@dataclass(frozen=True)
class Equations:
    """The functions of one cell, in a form that is common to all cells.

    | function | arguments | results |
    |---|---|---|
    | forward | a_ih, a_hh, *states, *unit_weights, **options | the next states, cache |
    | backward | h_next, cache, *dstates, **options | da_ih, da_hh, dstates_prev, dunit_weights |
    | whole | cache, *dstates | the whole gradients into the next states |

    a_ih = W_ih x + b_ih and a_hh = W_hh h + b_hh are (..., K). options is the nonlinearity of a cell that has one.
    h_next is the first of the next states, and dstates are the gradients into the next states. dstates_prev are the
    parts of the gradients into the states that do not pass through a_hh. dunit_weights (..., H) are not summed over the
    rows. dstates do not include the gradient that c gets through the h of the same step; `whole` includes it.
    """

    forward: Callable[..., tuple[list[Array], Any]]
    backward: Callable[..., tuple[Array, Array, list[Array], list[Array]]]
    whole: Callable[..., list[Array]] = lambda cache, *dstates: list(dstates)


def _rnn(a_ih: Array, a_hh: Array, h: Array, nonlinearity: str = "tanh") -> tuple[list[Array], Any]:
    return [rnn_gates(a_ih + a_hh, nonlinearity)], None


def _rnn_backward(
    h_next: Array, cache: Any, dh: Array, nonlinearity: str = "tanh"
) -> tuple[Array, Array, list[Array], list[Array]]:
    da = rnn_gates_backward(dh, h_next, nonlinearity)
    return da, da, [np.zeros_like(dh)], []


def _lstm(a_ih: Array, a_hh: Array, h: Array, c: Array) -> tuple[list[Array], Any]:
    h, c, cache = lstm_gates(a_ih + a_hh, c)
    return [h, c], cache


def _lstm_backward(h_next: Array, cache: Any, dh: Array, dc: Array) -> tuple[Array, Array, list[Array], list[Array]]:
    da, dc_prev = lstm_gates_backward(dh, dc, cache)
    return da, da, [np.zeros_like(dh), dc_prev], []


def _lstm_whole(cache: Any, dh: Array, dc: Array) -> list[Array]:
    _, _, _, o, _, tanh_c = cache
    return [dh, dc + dh * o * (1 - tanh_c * tanh_c)]  # the dc of `lstm_gates_backward`


def _gru(a_ih: Array, a_hh: Array, h: Array) -> tuple[list[Array], Any]:
    h, cache = gru_gates(a_ih, a_hh, h)
    return [h], cache


def _gru_backward(h_next: Array, cache: Any, dh: Array) -> tuple[Array, Array, list[Array], list[Array]]:
    da_ih, da_hh, dh_prev = gru_gates_backward(dh, cache)
    return da_ih, da_hh, [dh_prev], []


# By the name of the cell, as in `cell.CELLS`.
EQUATIONS = {
    "rnn": Equations(_rnn, _rnn_backward),
    "lstm": Equations(_lstm, _lstm_backward, _lstm_whole),
    "gru": Equations(_gru, _gru_backward),
}
