"""Whole sequences in NumPy: the time loop, buffered. The reference record of the contract.

What happens between the products is left to a record of gates, which is why `sequences` turns any of them into a full
record; NumPy's own (`reference/gates.py`) give the reference. What is here is where the numbers live:

- The input products of all steps, x_t W_ih^T, don't depend on the recurrence: they are one large product before the
  loop. The same goes for dx and the weights' gradients after it. Only h_{t-1} W_hh^T, and on the way back da_t W_hh,
  stay inside.
- One buffer G (T, B, 4H) is in turn the input product, the activated gates, and in the backward the gradient da. Each
  step overwrites its own slice. What takes part in a product is read as (B, 4H); gates are stored in the same memory
  as (4, B, H), where each gate is one contiguous block (functions of views with gaps take three times as long).
- h and c are kept as (T+1, B, H) with the initial state in front, so that the states *before* each step are the view
  [:-1] and the results `out` the view [1:].
- Inside the loops every product and every function writes into memory that is already there (`out=`). A function
  whose name ends in an underscore works in place.

A training step holds, beside its arguments and what has the size of the weights, in floats per step and batch row:

    RNN     H forward (h, which is also out),                   H + I more in the backward (da, dx)
    LSTM    6H forward (the gates 4H, c, and h, also out),      I more in the backward (dx)
    GRU     5H forward (the gates 3H, a_hn, and h, also out),   I more in the backward (dx)

keep_cache=True costs another 4H for the LSTM and the GRU, and `lengths` that differ another I: a copy of x with zeros
in the padding, so that nothing that stands there, NaN included, can reach a weight's gradient. Inference holds the
input product and out.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn_kernels.contract import Cache, CellGates, CellKernels, Gates, Kernels
from minirnn_kernels.gates import check_nonlinearity
from minirnn_kernels.reference.gates import GATES, quiet
from minirnn_kernels.reference.steps import gru_step, lstm_step, rnn_step

Array = npt.NDArray[Any]


def accepts(*arrays: Any) -> bool:
    """NumPy arrays, all float32 or all float64."""
    dtype = getattr(arrays[0], "dtype", None)
    for a in arrays:
        if type(a) is not np.ndarray or a.dtype != dtype:
            return False
    return dtype == np.float32 or dtype == np.float64


class _Ends:
    """Where each sequence of a batch ends. Steps before the first end cost nothing."""

    def __init__(self, lengths: Array | None, T: int, B: int) -> None:
        self.lengths = np.full(B, T) if lengths is None else lengths
        self.first = int(np.min(self.lengths, initial=T))
        self.ragged = self.first < T

    def without_padding(self, x: Array) -> Array:
        """x (T, B, I), or a copy with zeros past the ends."""
        if not self.ragged:
            return x
        inside = np.arange(len(x))[:, None] < self.lengths
        return np.where(inside[:, :, None], x, 0)

    def clear_(self, t: int, *arrays: Array) -> None:
        """Zero the rows (of B) whose sequences have ended before step t."""
        if t >= self.first:
            for array in arrays:
                array[self.lengths <= t] = 0

    def last(self, states: Array) -> Array:
        """states (T+1, B, H), entry t the state after t steps -> (B, H), the state after each sequence's last step."""
        return states[-1].copy() if not self.ragged else states[self.lengths, np.arange(states.shape[1])]

    def keep_last_(self, t: int, state_n: Array, state: Array) -> None:
        """Copy state (B, H), that after step t, to the rows of state_n whose last step is t."""
        if t + 1 >= self.first:
            rows = self.lengths == t + 1
            state_n[rows] = state[rows]

    def add_last_(self, t: int, d: Array, d_n: Array | None) -> None:
        """Add d_n, the gradient into the final state, to the rows of d (B, H) whose last step is t."""
        if d_n is not None and t + 1 >= self.first:
            rows = self.lengths == t + 1
            d[rows] += d_n[rows]


def _rows(a: Array) -> Array:
    """(T, B, K) -> (T*B, K), so that one product covers all steps."""
    return a.reshape(-1, a.shape[-1])


def _project_(x: Array, W_ih: Array, b: Array, a: Array) -> None:
    """a (T*B, K) = x W_ih^T + b for all steps of x (T, B, I) at once."""
    np.matmul(_rows(x), np.ascontiguousarray(W_ih).T, out=a)
    a += b


def _by_gate(a: Array, n: int) -> Array:
    """a (B, n*H), a row of n gates for each sequence, as a view (n, B, H)."""
    B, K = a.shape
    return a.reshape(B, n, K // n).swapaxes(0, 1)


def _with_initial(state0: Array, T: int) -> Array:
    """(T+1, B, H) with state0 (B, H) in front and the rest to be filled."""
    states = np.empty((T + 1, *state0.shape), state0.dtype)
    states[0] = state0
    return states


# ---- RNN -----------------------------------------------------------------------------------------------------------


@quiet
def rnn_forward(
    pointwise: CellGates,
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    lengths: Array | None = None,
    *,
    nonlinearity: str = "tanh",
) -> tuple[Array, Array, Cache]:
    """-> out, h_n, cache; shapes as in `contract`."""
    check_nonlinearity(nonlinearity)
    T, (B, H) = len(x), h0.shape
    ends = _Ends(lengths, T, B)
    x = ends.without_padding(x)
    h = _with_initial(h0, T)
    _project_(x, W_ih, b, _rows(h[1:]))  # the pre-activations start in the place of the states that they become
    W_hh = np.ascontiguousarray(W_hh)
    recurrent = np.empty((B, H), x.dtype)
    for t in range(T):
        a = h[t + 1]
        np.matmul(h[t], W_hh.T, out=recurrent)
        a += recurrent
        pointwise.forward(a, nonlinearity)
        ends.clear_(t, a)
    return h[1:], ends.last(h), Cache(x, h, W_ih, W_hh, ends, nonlinearity)


@quiet
def rnn_backward(
    pointwise: CellGates, dout: Array | None, dh_n: Array | None, cache: Cache, *, keep_cache: bool = False
) -> tuple[Array, Array, Array, Array, Array]:
    """-> dx, dh0, dW_ih, dW_hh, db; shapes as in `contract`."""
    x, h, W_ih, W_hh, ends, nonlinearity = cache.take(keep_cache)
    T, (B, H) = len(x), h[0].shape
    da, dh0 = np.empty((T, B, H), h.dtype), np.empty((B, H), h.dtype)
    da[-1] = 0
    for t in reversed(range(T)):
        dh = da[t]  # what comes in from step t + 1, and becomes da
        if dout is not None:
            dh += dout[t]
        ends.add_last_(t, dh, dh_n)
        pointwise.backward(h[t + 1], dh, nonlinearity)
        ends.clear_(t, da[t])
        np.matmul(da[t], W_hh, out=da[t - 1] if t else dh0)
    da = _rows(da)
    dx = np.matmul(da, W_ih).reshape(x.shape)
    return dx, dh0, da.T @ _rows(x), da.T @ _rows(h[:-1]), da.sum(axis=0)


@quiet
def rnn_inference(
    pointwise: CellGates,
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    lengths: Array | None = None,
    *,
    nonlinearity: str = "tanh",
) -> tuple[Array, Array]:
    """-> out, h_n: the forward as it is, since its only buffer is the result."""
    out, h_n, _ = rnn_forward(pointwise, x, h0, W_ih, W_hh, b, lengths, nonlinearity=nonlinearity)
    return out, h_n


# ---- LSTM ----------------------------------------------------------------------------------------------------------


@quiet
def lstm_forward(
    pointwise: CellGates,
    x: Array,
    h0: Array,
    c0: Array,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    lengths: Array | None = None,
) -> tuple[Array, Array, Array, Cache]:
    """-> out, h_n, c_n, cache; shapes as in `contract`."""
    T, (B, H) = len(x), h0.shape
    ends = _Ends(lengths, T, B)
    x = ends.without_padding(x)
    W_hh = np.ascontiguousarray(W_hh)
    h, c = _with_initial(h0, T), _with_initial(c0, T)
    G = np.empty((T, B, 4 * H), x.dtype)
    _project_(x, W_ih, b, _rows(G))
    gates = G.reshape(T, 4, B, H)
    a = np.empty((B, 4 * H), x.dtype)
    for t in range(T):
        np.matmul(h[t], W_hh.T, out=a)
        a += G[t]
        gates[t] = _by_gate(a, 4)
        pointwise.forward(gates[t], c[t], c[t + 1], h[t + 1])
        ends.clear_(t, h[t + 1])
    return h[1:], ends.last(h), ends.last(c), Cache(x, h, c, W_ih, W_hh, G, ends)


@quiet
def lstm_backward(
    pointwise: CellGates,
    dout: Array | None,
    dh_n: Array | None,
    dc_n: Array | None,
    cache: Cache,
    *,
    keep_cache: bool = False,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """-> dx, dh0, dc0, dW_ih, dW_hh, db; shapes as in `contract`."""
    x, h, c, W_ih, W_hh, G, ends = cache.take(keep_cache)
    T, (B, H) = len(x), h[0].shape
    gates = G.reshape(T, 4, B, H)
    da = np.empty_like(G) if keep_cache else G  # step by step, the gates are overwritten by their gradients
    dh, dc = np.zeros((B, H), G.dtype), np.zeros((B, H), G.dtype)
    scratch = np.empty((4, B, H), G.dtype)
    for t in reversed(range(T)):
        if dout is not None:
            dh += dout[t]
        ends.add_last_(t, dh, dh_n)
        ends.add_last_(t, dc, dc_n)
        pointwise.backward(gates[t], c[t], c[t + 1], dh, dc, scratch)
        _by_gate(da[t], 4)[:] = scratch
        ends.clear_(t, da[t], dc)
        np.matmul(da[t], W_hh, out=dh)
    da = _rows(da)
    dx = np.matmul(da, W_ih).reshape(x.shape)
    return dx, dh, dc, da.T @ _rows(x), da.T @ _rows(h[:-1]), da.sum(axis=0)


@quiet
def lstm_inference(
    pointwise: CellGates,
    x: Array,
    h0: Array,
    c0: Array,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    lengths: Array | None = None,
) -> tuple[Array, Array, Array]:
    """-> out, h_n, c_n: the forward without its memory; one c is updated in place."""
    T, (B, H) = len(x), h0.shape
    ends = _Ends(lengths, T, B)
    W_hh = np.ascontiguousarray(W_hh)
    h, c, c_n = _with_initial(h0, T), np.array(c0), np.array(c0)
    G = np.empty((T, B, 4 * H), x.dtype)
    _project_(x, W_ih, b, _rows(G))
    gates = G.reshape(T, 4, B, H)
    a = np.empty((B, 4 * H), x.dtype)
    for t in range(T):
        np.matmul(h[t], W_hh.T, out=a)
        a += G[t]
        gates[t] = _by_gate(a, 4)
        pointwise.forward(gates[t], c, c, h[t + 1])
        ends.clear_(t, h[t + 1])
        ends.keep_last_(t, c_n, c)
    return h[1:], ends.last(h), c_n


# ---- GRU -----------------------------------------------------------------------------------------------------------
#
# The buffer G (T, B, 4H) has the blocks n, r, z, q, where q = a_hn, the part of the candidate that r multiplies. In
# this order the gradients into both products are plain column ranges of G, no copies needed:
#
#     da_ih = columns n, r, z       da_hh = columns r, z, q
#
# W_hh has its rows in the order r, z, n and so matches da_hh as it is; W_ih and its gradient are rolled by one block.


def _gru_input(W_ih: Array, b_ih: Array, b_hh: Array) -> tuple[Array, Array, Array]:
    """W_ih and the biases that can be added before the loop, in the order n, r, z; and the bias of q, which can't."""
    H = len(b_ih) // 3
    b = np.roll(b_ih, H)
    b[H:] += b_hh[: 2 * H]
    return np.roll(W_ih, H, axis=0), b, b_hh[2 * H :]


def _gru_preactivations_(projected: Array, h_prev: Array, W_hh: Array, a: Array) -> None:
    """a (B, 4H) = projected (B, 3H) in the blocks n, r, z plus h_prev W_hh^T in the blocks r, z, q."""
    H = h_prev.shape[-1]
    a[:, :H] = 0
    np.matmul(h_prev, W_hh.T, out=a[:, H:])
    a[:, : 3 * H] += projected


@quiet
def gru_forward(
    pointwise: CellGates,
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    lengths: Array | None = None,
) -> tuple[Array, Array, Cache]:
    """-> out, h_n, cache; shapes as in `contract`."""
    T, (B, H) = len(x), h0.shape
    ends = _Ends(lengths, T, B)
    x = ends.without_padding(x)
    W_hh = np.ascontiguousarray(W_hh)
    W_nrz, b_nrz, b_q = _gru_input(W_ih, b_ih, b_hh)
    h = _with_initial(h0, T)
    G = np.empty((T, B, 4 * H), x.dtype)
    _project_(x, W_nrz, b_nrz, _rows(G)[:, : 3 * H])
    gates = G.reshape(T, 4, B, H)
    a = np.empty((B, 4 * H), x.dtype)
    for t in range(T):
        _gru_preactivations_(G[t, :, : 3 * H], h[t], W_hh, a)
        gates[t] = _by_gate(a, 4)
        gates[t, 3] += b_q
        pointwise.forward(gates[t], h[t], h[t + 1])
        ends.clear_(t, h[t + 1])
    return h[1:], ends.last(h), Cache(x, h, W_nrz, W_hh, G, ends)


@quiet
def gru_backward(
    pointwise: CellGates, dout: Array | None, dh_n: Array | None, cache: Cache, *, keep_cache: bool = False
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """-> dx, dh0, dW_ih, dW_hh, db_ih, db_hh; shapes as in `contract`."""
    x, h, W_nrz, W_hh, G, ends = cache.take(keep_cache)
    T, (B, H) = len(x), h[0].shape
    gates = G.reshape(T, 4, B, H)
    da = np.empty_like(G) if keep_cache else G  # step by step, the gates are overwritten by their gradients
    dh, dh_recurrent = np.zeros((B, H), G.dtype), np.empty((B, H), G.dtype)
    scratch = np.empty((4, B, H), G.dtype)
    for t in reversed(range(T)):
        if dout is not None:
            dh += dout[t]
        ends.add_last_(t, dh, dh_n)
        pointwise.backward(gates[t], h[t], dh, scratch)
        _by_gate(da[t], 4)[:] = scratch
        ends.clear_(t, da[t], dh)
        np.matmul(da[t, :, H:], W_hh, out=dh_recurrent)
        dh += dh_recurrent
    da_ih, da_hh = _rows(da)[:, : 3 * H], _rows(da)[:, H:]
    dx = np.matmul(da_ih, W_nrz).reshape(x.shape)
    dW_ih = np.roll(da_ih.T @ _rows(x), -H, axis=0)
    return dx, dh, dW_ih, da_hh.T @ _rows(h[:-1]), np.roll(da_ih.sum(axis=0), -H), da_hh.sum(axis=0)


@quiet
def gru_inference(
    pointwise: CellGates,
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    lengths: Array | None = None,
) -> tuple[Array, Array]:
    """-> out, h_n: the forward without its memory; one set of gates is used by all steps."""
    T, (B, H) = len(x), h0.shape
    ends = _Ends(lengths, T, B)
    W_hh = np.ascontiguousarray(W_hh)
    W_nrz, b_nrz, b_q = _gru_input(W_ih, b_ih, b_hh)
    h = _with_initial(h0, T)
    projected = np.empty((T, B, 3 * H), x.dtype)
    _project_(x, W_nrz, b_nrz, _rows(projected))
    a, gates = np.empty((B, 4 * H), x.dtype), np.empty((4, B, H), x.dtype)
    for t in range(T):
        _gru_preactivations_(projected[t], h[t], W_hh, a)
        gates[:] = _by_gate(a, 4)
        gates[3] += b_q
        pointwise.forward(gates, h[t], h[t + 1])
        ends.clear_(t, h[t + 1])
    return h[1:], ends.last(h)


# ---- the record ----------------------------------------------------------------------------------------------------


def sequences(name: str, gates: Gates, accepts: Callable[..., bool] = accepts) -> Kernels:
    """The record of that name whose sequences are those above, with any gates that take the arrays it accepts."""
    return Kernels(
        name,
        accepts,
        gates,
        rnn=_of_cell(gates.rnn, rnn_forward, rnn_backward, rnn_inference, rnn_step),
        lstm=_of_cell(gates.lstm, lstm_forward, lstm_backward, lstm_inference, lstm_step),
        gru=_of_cell(gates.gru, gru_forward, gru_backward, gru_inference, gru_step),
    )


def _of_cell(
    gates: CellGates,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    inference: Callable[..., Any],
    step: Callable[..., Any],
) -> CellKernels:
    return CellKernels(partial(forward, gates), partial(backward, gates), partial(inference, gates), step)


KERNELS = sequences("numpy", GATES)
