"""One step of each cell, forward and backward, as pure functions: the matrix products around the gates.

A step consists of two products and the gates; its backward pass, of the gates' backward function and four products. The
equations of the gates and their derivations are in `minirnn_kernels.gates`. A sequence is a loop over these steps;
`sequence.unroll` is that loop, and the kernels compute the same thing faster (`minirnn_kernels.proof` tests that they
agree).

Shapes: x (B, I); h, c (B, H); W_ih (K, I), W_hh (K, H) and biases (K,). K is H times the number of gates in
`minirnn_kernels.cell`, and the blocks of H rows are in the order of the gates, as in PyTorch. All arguments and results
have the same dtype. A step changes no argument in place and stores nothing outside the returned cache. Each step can
therefore be checked alone: by finite differences, with complex arguments, or by running the forward step on Tensors.

The products. Each step computes a = x W_ih^T + h W_hh^T + b. For row p and column j of a, this is

    a[p, j] = sum_k x[p, k] W_ih[j, k] + sum_k h[p, k] W_hh[j, k] + b[j]

Given da (B, K), collect the terms that contain one entry of x, of W_ih or of b:

    dx[p, k]    = sum_j da[p, j] W_ih[j, k]      dx    = da W_ih
    dW_ih[j, k] = sum_p da[p, j] x[p, k]         dW_ih = da^T x
    db[j]       = sum_p da[p, j]                 db    = da summed over the batch

The formulas for h and W_hh are the same.
"""

from collections.abc import Callable
from typing import Any

from minirnn_kernels.gates import (
    gru_gates,
    gru_gates_backward,
    lstm_gates,
    lstm_gates_backward,
    rnn_gates,
    rnn_gates_backward,
)

Array = Any  # an ndarray, or an object that implements NumPy's functions


def rnn_step(
    x: Array, h: Array, W_ih: Array, W_hh: Array, b: Array, nonlinearity: str = "tanh"
) -> tuple[Array, tuple[Any, ...]]:
    """Return the next h (B, H) and a cache for x (B, I) and h (B, H). nonlinearity is "tanh" or "relu"."""
    h_next = rnn_gates(x @ W_ih.T + h @ W_hh.T + b, nonlinearity)
    return h_next, (x, h, W_ih, W_hh, h_next, nonlinearity)


def rnn_step_backward(dh_next: Array, cache: tuple[Any, ...]) -> tuple[Array, ...]:
    """Return dx, dh, dW_ih, dW_hh, db for dh_next (B, H), the gradient of the h that `rnn_step` returned."""
    x, h, W_ih, W_hh, h_next, nonlinearity = cache
    da = rnn_gates_backward(dh_next, h_next, nonlinearity)
    return da @ W_ih, da @ W_hh, da.T @ x, da.T @ h, da.sum(axis=0)


def lstm_step(x: Array, h: Array, c: Array, W_ih: Array, W_hh: Array, b: Array) -> tuple[Array, Array, tuple[Any, ...]]:
    """Return the next h (B, H), the next c (B, H) and a cache for x (B, I), h and c (B, H)."""
    h_next, c_next, gates = lstm_gates(x @ W_ih.T + h @ W_hh.T + b, c)
    return h_next, c_next, (x, h, W_ih, W_hh, gates)


def lstm_step_backward(dh_next: Array, dc_next: Array, cache: tuple[Any, ...]) -> tuple[Array, ...]:
    """Return dx, dh, dc, dW_ih, dW_hh, db for dh_next and dc_next (B, H), the gradients of both results."""
    x, h, W_ih, W_hh, gates = cache
    da, dc = lstm_gates_backward(dh_next, dc_next, gates)
    return da @ W_ih, da @ W_hh, dc, da.T @ x, da.T @ h, da.sum(axis=0)


def gru_step(x: Array, h: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array) -> tuple[Array, tuple[Any, ...]]:
    """Return the next h (B, H) and a cache for x (B, I) and h (B, H). r multiplies block n of b_hh but not of b_ih."""
    h_next, gates = gru_gates(x @ W_ih.T + b_ih, h @ W_hh.T + b_hh, h)
    return h_next, (x, h, W_ih, W_hh, gates)


def gru_step_backward(dh_next: Array, cache: tuple[Any, ...]) -> tuple[Array, ...]:
    """Return dx, dh, dW_ih, dW_hh, db_ih, db_hh for dh_next (B, H), the gradient of `gru_step`'s h."""
    x, h, W_ih, W_hh, gates = cache
    da_ih, da_hh, dh = gru_gates_backward(dh_next, gates)  # dh: the part that bypasses the products, z * dh_next
    return da_ih @ W_ih, dh + da_hh @ W_hh, da_ih.T @ x, da_hh.T @ h, da_ih.sum(axis=0), da_hh.sum(axis=0)


# By the name of the cell, as in `minirnn_kernels.cell.CELLS`.
STEPS: dict[str, Callable[..., Any]] = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}
STEPS_BACKWARD: dict[str, Callable[..., Any]] = {
    "rnn": rnn_step_backward,
    "lstm": lstm_step_backward,
    "gru": gru_step_backward,
}
