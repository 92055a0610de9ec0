"""Whole sequences in NumPy: the time loop with buffers. The reference record of the contract.

A record of gates computes everything between the products, so `sequences` turns any gates into a full record; with
NumPy's own (`reference/gates.py`) it makes the record "numpy". This file decides where the numbers are stored:

- The input products of all steps, x_t W_ih^T, do not depend on the recurrence, so one large product before the loop
  computes them. Likewise, one large product each computes dx and the gradients of the weights after the loop. Only
  h_{t-1} W_hh^T, and da_t W_hh in the backward pass, stay inside the loop.
- One buffer G (T, B, 4H) holds first the input product, then the gates, and in the backward pass the gradient da. Each
  step overwrites its own slice. Products read a slice as (B, 4H); gates are stored in the same memory as (4, B, H),
  where each gate is one contiguous block, because NumPy takes three times as long on strided views.
- h and c are stored as (T+1, B, H) with the initial state in front. The states *before* each step are then the view
  [:-1], and `out` is the view [1:].
- Inside the loops every product and every function writes into existing memory (`out=`). A function whose name ends in
  an underscore works in place.

In addition to its arguments and arrays as large as the weights, a training step holds, in floats per step and row:

    RNN     H in the forward pass (h, which is also out),                   H + I more in the backward pass (da, dx)
    LSTM    6H in the forward pass (the gates 4H, c, and h, also out),      I more in the backward pass (dx)
    GRU     5H in the forward pass (the gates 3H, a_hn, and h, also out),   I more in the backward pass (dx)

keep_cache=True adds 4H for the LSTM and the GRU. Sequences of different lengths add I for a copy of x with zeros in the
padding: no value in the padding, NaN included, can then reach the gradient of a weight. Inference holds the input
product and out.
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
from minirnn_kernels.validation import validated

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]


def accepts(*arrays: Any) -> bool:
    """Return whether these are NumPy arrays, all float32 or all float64."""
    dtype = getattr(arrays[0], "dtype", None)
    for a in arrays:
        if type(a) is not np.ndarray or a.dtype != dtype:
            return False
    return dtype == np.float32 or dtype == np.float64


class _Ends:
    """The ends of the sequences in a batch. Steps before the first end cost nothing."""

    def __init__(self, lengths: Array | None, T: int, B: int) -> None:
        self.lengths = np.full(B, T) if lengths is None else lengths
        self.first = int(np.min(self.lengths, initial=T))
        self.ragged = self.first < T

    def without_padding(self, x: Array) -> Array:
        """Return x (T, B, I), or a copy with zeros past the ends."""
        if not self.ragged:
            return x
        inside = np.arange(len(x))[:, None] < self.lengths
        return np.where(inside[:, :, None], x, 0)

    def clear_(self, t: int, *arrays: Array) -> None:
        """Zero the rows whose sequences have ended before step t."""
        if t >= self.first:
            for array in arrays:
                array[self.lengths <= t] = 0

    def last(self, states: Array) -> Array:
        """Return (B, H), the state after the last step of each sequence; states[t] is the state after t steps."""
        return states[-1].copy() if not self.ragged else states[self.lengths, np.arange(states.shape[1])]

    def keep_last_(self, t: int, state_n: Array, state: Array) -> None:
        """Copy state (B, H), the state after step t, to the rows of state_n whose last step is t."""
        if t + 1 >= self.first:
            rows = self.lengths == t + 1
            state_n[rows] = state[rows]

    def add_last_(self, t: int, d: Array, d_n: Array | None) -> None:
        """Add d_n, the gradient of the final state, to the rows of d (B, H) whose last step is t."""
        if d_n is not None and t + 1 >= self.first:
            rows = self.lengths == t + 1
            d[rows] += d_n[rows]


def _rows(a: Array) -> Array:
    """Return (T, B, K) as (T*B, K), so that one product covers all steps."""
    return a.reshape(-1, a.shape[-1])


def _project_(x: Array, W_ih: Array, b: Array, a: Array) -> None:
    """Compute a (T*B, K) = x W_ih^T + b for all steps of x (T, B, I) at once."""
    np.matmul(_rows(x), np.ascontiguousarray(W_ih).T, out=a)
    a += b


def _by_gate(a: Array, n: int) -> Array:
    """Return a (B, n*H), a row of n gates for each sequence, as a view (n, B, H)."""
    B, K = a.shape
    return a.reshape(B, n, K // n).swapaxes(0, 1)


def _with_initial(state0: Array, T: int) -> Array:
    """Return (T+1, B, H) with state0 (B, H) in front and the rest uninitialised."""
    states = np.empty((T + 1, *state0.shape), state0.dtype)
    states[0] = state0
    return states


# ---- RNN -----------------------------------------------------------------------------------------------------------


@quiet
def rnn_forward(
    gates: CellGates,
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b: Array,
    lengths: Array | None = None,
    *,
    nonlinearity: str = "tanh",
) -> tuple[Array, Array, Cache]:
    """Return out, h_n, cache; shapes as in `contract`."""
    check_nonlinearity(nonlinearity)
    T, (B, H) = len(x), h0.shape
    ends = _Ends(lengths, T, B)
    x = ends.without_padding(x)
    h = _with_initial(h0, T)
    _project_(x, W_ih, b, _rows(h[1:]))  # pre-activations, which become the states
    W_hh = np.ascontiguousarray(W_hh)
    recurrent = np.empty((B, H), x.dtype)
    for t in range(T):
        a = h[t + 1]
        np.matmul(h[t], W_hh.T, out=recurrent)
        a += recurrent
        gates.forward(a, nonlinearity)
        ends.clear_(t, a)
    return h[1:], ends.last(h), Cache(x, h, W_ih, W_hh, ends, nonlinearity)


@quiet
def rnn_backward(
    gates: CellGates, dout: Array | None, dh_n: Array | None, cache: Cache, *, keep_cache: bool = False
) -> tuple[Array, Array, Array, Array, Array]:
    """Return dx, dh0, dW_ih, dW_hh, db; shapes as in `contract`."""
    x, h, W_ih, W_hh, ends, nonlinearity = cache.take(keep_cache)
    T, (B, H) = len(x), h[0].shape
    da, dh0 = np.empty((T, B, H), h.dtype), np.empty((B, H), h.dtype)
    da[-1] = 0  # no step comes after the last
    for t in reversed(range(T)):
        dh = da[t]  # the gradient from step t + 1, which becomes da
        if dout is not None:
            dh += dout[t]
        ends.add_last_(t, dh, dh_n)
        gates.backward(h[t + 1], dh, nonlinearity)
        ends.clear_(t, da[t])
        np.matmul(da[t], W_hh, out=da[t - 1] if t else dh0)
    da = _rows(da)
    dx = np.matmul(da, W_ih).reshape(x.shape)
    return dx, dh0, da.T @ _rows(x), da.T @ _rows(h[:-1]), da.sum(axis=0)


def rnn_inference(*arguments: Any, nonlinearity: str = "tanh") -> tuple[Array, Array]:
    """Return out, h_n: the results of `rnn_forward`, whose only buffer is out, without the cache."""
    return rnn_forward(*arguments, nonlinearity=nonlinearity)[:2]


# ---- LSTM ----------------------------------------------------------------------------------------------------------


@quiet
def _lstm(
    gates: CellGates, training: bool, x: Array, states: Arrays, weights: Arrays, lengths: Array | None
) -> tuple[Array, Array, Array, Cache]:
    (h0, c0), (W_ih, W_hh, b) = states, weights
    T, (B, H) = len(x), h0.shape
    ends = _Ends(lengths, T, B)
    x = ends.without_padding(x) if training else x
    W_hh = np.ascontiguousarray(W_hh)
    h, c_n = _with_initial(h0, T), np.empty_like(c0, order="C")
    c = (
        _with_initial(c0, T) if training else [np.array(c0, order="C")] * (T + 1)
    )  # inference updates one array in place
    G = np.empty((T, B, 4 * H), x.dtype)
    _project_(x, W_ih, b, _rows(G))
    blocks = G.reshape(T, 4, B, H)
    a = np.empty((B, 4 * H), x.dtype)
    for t in range(T):
        np.matmul(h[t], W_hh.T, out=a)
        a += G[t]
        blocks[t] = _by_gate(a, 4)
        gates.forward(blocks[t], c[t], c[t + 1], h[t + 1])
        ends.clear_(t, h[t + 1])
        ends.keep_last_(t, c_n, c[t + 1])
    return h[1:], ends.last(h), c_n, Cache(x, h, c, W_ih, W_hh, G, ends)


def lstm_forward(
    gates: CellGates, x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Array | None = None
) -> tuple[Array, Array, Array, Cache]:
    """Return out, h_n, c_n, cache; shapes as in `contract`."""
    return _lstm(gates, True, x, (h0, c0), (W_ih, W_hh, b), lengths)


def lstm_inference(
    gates: CellGates, x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Array | None = None
) -> tuple[Array, Array, Array]:
    """Return out, h_n, c_n: the forward pass without a cache."""
    return _lstm(gates, False, x, (h0, c0), (W_ih, W_hh, b), lengths)[:3]


@quiet
def lstm_backward(
    gates: CellGates,
    dout: Array | None,
    dh_n: Array | None,
    dc_n: Array | None,
    cache: Cache,
    *,
    keep_cache: bool = False,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return dx, dh0, dc0, dW_ih, dW_hh, db; shapes as in `contract`."""
    x, h, c, W_ih, W_hh, G, ends = cache.take(keep_cache)
    T, (B, H) = len(x), h[0].shape
    blocks = G.reshape(T, 4, B, H)
    da = np.empty_like(G) if keep_cache else G  # each step overwrites its gates with their gradients
    dh, dc = np.zeros((B, H), G.dtype), np.zeros((B, H), G.dtype)
    scratch = np.empty((4, B, H), G.dtype)
    for t in reversed(range(T)):
        if dout is not None:
            dh += dout[t]
        ends.add_last_(t, dh, dh_n)
        ends.add_last_(t, dc, dc_n)
        gates.backward(blocks[t], c[t], c[t + 1], dh, dc, scratch)
        _by_gate(da[t], 4)[:] = scratch
        ends.clear_(t, da[t], dc)
        np.matmul(da[t], W_hh, out=dh)
    da = _rows(da)
    dx = np.matmul(da, W_ih).reshape(x.shape)
    return dx, dh, dc, da.T @ _rows(x), da.T @ _rows(h[:-1]), da.sum(axis=0)


# ---- GRU -----------------------------------------------------------------------------------------------------------
#
# The buffer G (T, B, 4H) has the blocks n, r, z, q, where q = a_hn is the part of the candidate that r multiplies. In
# this order, which is not `cell.GRU.gates`, the gradients of both products are column ranges of G, without copies:
#
#     da_ih = columns n, r, z       da_hh = columns r, z, q
#
# W_hh has its rows in the order r, z, n, which matches da_hh; W_ih and its gradient are rolled by one block.


def _gru_input(W_ih: Array, b_ih: Array, b_hh: Array) -> tuple[Array, Array, Array]:
    """Return W_ih and the biases that are added before the loop, in the order n, r, z; and the bias of q."""
    H = len(b_ih) // 3
    b = np.roll(b_ih, H)
    b[H:] += b_hh[: 2 * H]
    return np.roll(W_ih, H, axis=0), b, b_hh[2 * H :]


def _gru_preactivations_(projected: Array, h_prev: Array, W_hh: Array, a: Array) -> None:
    """Compute a (B, 4H): projected (B, 3H) in the blocks n, r, z plus h_prev W_hh^T in the blocks r, z, q."""
    H = h_prev.shape[-1]
    a[:, :H] = 0
    np.matmul(h_prev, W_hh.T, out=a[:, H:])
    a[:, : 3 * H] += projected


@quiet
def _gru(
    gates: CellGates, training: bool, x: Array, h0: Array, weights: Arrays, lengths: Array | None
) -> tuple[Array, Array, Cache]:
    W_ih, W_hh, b_ih, b_hh = weights
    T, (B, H) = len(x), h0.shape
    ends = _Ends(lengths, T, B)
    x = ends.without_padding(x) if training else x
    W_hh = np.ascontiguousarray(W_hh)
    W_nrz, b_nrz, b_q = _gru_input(W_ih, b_ih, b_hh)
    h = _with_initial(h0, T)
    G = np.empty((T, B, (4 if training else 3) * H), x.dtype)
    _project_(x, W_nrz, b_nrz, _rows(G)[:, : 3 * H])
    # inference stores only the projection in G, and the gates of all steps in one array
    blocks = G.reshape(T, 4, B, H) if training else [np.empty((4, B, H), x.dtype)] * T
    a = np.empty((B, 4 * H), x.dtype)
    for t in range(T):
        _gru_preactivations_(G[t, :, : 3 * H], h[t], W_hh, a)
        blocks[t][:] = _by_gate(a, 4)
        blocks[t][3] += b_q
        gates.forward(blocks[t], h[t], h[t + 1])
        ends.clear_(t, h[t + 1])
    return h[1:], ends.last(h), Cache(x, h, W_nrz, W_hh, G, ends)


def gru_forward(
    gates: CellGates,
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    lengths: Array | None = None,
) -> tuple[Array, Array, Cache]:
    """Return out, h_n, cache; shapes as in `contract`."""
    return _gru(gates, True, x, h0, (W_ih, W_hh, b_ih, b_hh), lengths)


def gru_inference(
    gates: CellGates,
    x: Array,
    h0: Array,
    W_ih: Array,
    W_hh: Array,
    b_ih: Array,
    b_hh: Array,
    lengths: Array | None = None,
) -> tuple[Array, Array]:
    """Return out, h_n: the forward pass without a cache."""
    return _gru(gates, False, x, h0, (W_ih, W_hh, b_ih, b_hh), lengths)[:2]


@quiet
def gru_backward(
    gates: CellGates, dout: Array | None, dh_n: Array | None, cache: Cache, *, keep_cache: bool = False
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return dx, dh0, dW_ih, dW_hh, db_ih, db_hh; shapes as in `contract`."""
    x, h, W_nrz, W_hh, G, ends = cache.take(keep_cache)
    T, (B, H) = len(x), h[0].shape
    blocks = G.reshape(T, 4, B, H)
    da = np.empty_like(G) if keep_cache else G  # each step overwrites its gates with their gradients
    dh, dh_recurrent = np.zeros((B, H), G.dtype), np.empty((B, H), G.dtype)
    scratch = np.empty((4, B, H), G.dtype)
    for t in reversed(range(T)):
        if dout is not None:
            dh += dout[t]
        ends.add_last_(t, dh, dh_n)
        gates.backward(blocks[t], h[t], dh, scratch)
        _by_gate(da[t], 4)[:] = scratch
        ends.clear_(t, da[t], dh)
        np.matmul(da[t, :, H:], W_hh, out=dh_recurrent)
        dh += dh_recurrent
    da_ih, da_hh = _rows(da)[:, : 3 * H], _rows(da)[:, H:]
    dx = np.matmul(da_ih, W_nrz).reshape(x.shape)
    dW_ih = np.roll(da_ih.T @ _rows(x), -H, axis=0)
    return dx, dh, dW_ih, da_hh.T @ _rows(h[:-1]), np.roll(da_ih.sum(axis=0), -H), da_hh.sum(axis=0)


# ---- the record ----------------------------------------------------------------------------------------------------


# By the name of the cell: forward, backward, inference, all with the cell's gates as their first argument, and step.
_FUNCTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "rnn": (rnn_forward, rnn_backward, rnn_inference, rnn_step),
    "lstm": (lstm_forward, lstm_backward, lstm_inference, lstm_step),
    "gru": (gru_forward, gru_backward, gru_inference, gru_step),
}


def sequences(name: str, gates: Gates, accepts: Callable[..., bool] = accepts) -> Kernels:
    """Return a record with the sequences of this file around any gates that take the arrays that `accepts` admits.

    It has the cells of the gates.
    """

    def of_cell(of: CellGates, forward: Any, backward: Any, inference: Any, step: Any) -> CellKernels:
        return CellKernels(partial(forward, of), partial(backward, of), partial(inference, of), step)

    cells = {cell: of_cell(of, *_FUNCTIONS[cell]) for cell, of in gates.cells.items()}
    return validated(Kernels(name, accepts, gates, cells))


KERNELS = sequences("numpy", GATES)
