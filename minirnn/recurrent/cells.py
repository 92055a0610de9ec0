"""One step of each cell, forward and backward, as pure functions: the matrix products around the gates.

A step is two products and the gates; its backward is the gates' backward and four products. The gates themselves,
with their derivations, are in `minirnn_kernels.gates`. A sequence is a loop over these steps (`sequence.py` runs
a faster form of that loop, proven equal).

Shapes: x (B, I); h, c (B, H); W_ih (K, I), W_hh (K, H) and biases (K,), with K = H for the RNN, 4H for the LSTM
(blocks i, f, g, o) and 3H for the GRU (blocks r, z, n): PyTorch's layout. All arguments have one dtype, and so has
every result. Nothing is changed in place and nothing is remembered outside the returned cache, so a step can be
checked alone, by finite differences, by complex arguments, or by running the forward on Tensors.

The products. Each step computes a = x W_ih^T + h W_hh^T + b, that is, written out for row p and column j of a,

    a[p, j] = sum_k x[p, k] W_ih[j, k] + sum_k h[p, k] W_hh[j, k] + b[j]

Given da (B, K), collecting the terms that hold one entry of x, of W_ih, of b gives

    dx[p, k]    = sum_j da[p, j] W_ih[j, k]      dx    = da W_ih
    dW_ih[j, k] = sum_p da[p, j] x[p, k]         dW_ih = da^T x
    db[j]       = sum_p da[p, j]                 db    = da summed over the batch

and the same for h and W_hh.
"""

from typing import Any

from minirnn_kernels.gates import (
    gru_gates,
    gru_gates_backward,
    lstm_gates,
    lstm_gates_backward,
    rnn_gates,
    rnn_gates_backward,
)

Array = Any  # an ndarray, or whatever answers to NumPy's functions in its place


def rnn_step(
    x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array, nonlinearity: str = "tanh"
) -> tuple[Array, tuple[Any, ...]]:
    """x (B, I), h (B, H) -> the next h (B, H), cache. nonlinearity: "tanh" or "relu"."""
    h_next = rnn_gates(x @ W_ih.T + h @ W_hh.T + b, nonlinearity)
    return h_next, (x, h, W_ih, W_hh, h_next, nonlinearity)


def rnn_step_backward(dh_next: Array, cache: tuple[Any, ...]) -> tuple[Array, ...]:
    """dh_next (B, H), the gradient into the h that `rnn_step` returned -> dx, dh, dW_ih, dW_hh, db."""
    x, h, W_ih, W_hh, h_next, nonlinearity = cache
    da = rnn_gates_backward(dh_next, h_next, nonlinearity)
    return da @ W_ih, da @ W_hh, da.T @ x, da.T @ h, da.sum(axis=0)


def lstm_step(x: Array, h: Array, c: Array, W_ih: Array, W_hh: Array, b: Array) -> tuple[Array, Array, tuple[Any, ...]]:
    """x (B, I), h, c (B, H) -> the next h (B, H), the next c (B, H), cache."""
    h_next, c_next, gates = lstm_gates(x @ W_ih.T + h @ W_hh.T + b, c)
    return h_next, c_next, (x, h, W_ih, W_hh, gates)


def lstm_step_backward(dh_next: Array, dc_next: Array, cache: tuple[Any, ...]) -> tuple[Array, ...]:
    """dh_next, dc_next (B, H), the gradients into both states `lstm_step` returned -> dx, dh, dc, dW_ih, dW_hh, db."""
    x, h, W_ih, W_hh, gates = cache
    da, dc = lstm_gates_backward(dh_next, dc_next, gates)
    return da @ W_ih, da @ W_hh, dc, da.T @ x, da.T @ h, da.sum(axis=0)


def gru_step(x: Array, h: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array) -> tuple[Array, tuple[Any, ...]]:
    """x (B, I), h (B, H) -> the next h (B, H), cache. Two biases, because r multiplies that of n in b_hh."""
    h_next, gates = gru_gates(x @ W_ih.T + b_ih, h @ W_hh.T + b_hh, h)
    return h_next, (x, h, W_ih, W_hh, gates)


def gru_step_backward(dh_next: Array, cache: tuple[Any, ...]) -> tuple[Array, ...]:
    """dh_next (B, H), the gradient into the h that `gru_step` returned -> dx, dh, dW_ih, dW_hh, db_ih, db_hh."""
    x, h, W_ih, W_hh, gates = cache
    da_ih, da_hh, dh = gru_gates_backward(dh_next, gates)  # dh: the way past the gates, z * dh_next
    return da_ih @ W_ih, dh + da_hh @ W_hh, da_ih.T @ x, da_hh.T @ h, da_ih.sum(axis=0), da_hh.sum(axis=0)
