"""The contract between a recurrent layer and the kernels that compute it, on two levels.

`Gates` is pointwise: what happens to the pre-activations of one step, six functions that fill arrays in place.
`Kernels` computes whole sequences of one layer in one direction, and single steps of it, and has gates as one field.
Who has only gates gets the rest from `reference.sequences`. The contract in words, with the rules on aliasing,
mutation, lengths and NaN, is kernels/README.md; `conformance.prove_gates` and `conformance.prove` hold a record to it.

Shapes of the sequences: x (T, B, I) time-major; h0, c0 (B, H); W_ih (K, I), W_hh (K, H), biases (K,), where K is H for
the RNN, 4H for the LSTM (blocks i, f, g, o), 3H for the GRU (blocks r, z, n); lengths (B,) of ints in 1..T, or None for
T everywhere; out (T, B, H), exactly zero past each sequence's end; h_n, c_n (B, H), the states at each sequence's own
last step. A gradient has the shape of what it belongs to; dout, dh_n and dc_n may be None, which means zero. A step
has x (B, I) and no lengths; it is inference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Arrays = tuple[Any, ...]


@dataclass(frozen=True)
class Gates:
    """One way of computing the equations of `gates.py`. Above each field stand its arguments; nothing is returned.

    Arrays are all float32 or all float64 in a call. `gates` and `da` are (n, B, H), a block for each of n gates; their
    last axis has unit stride, the first two any strides, so that rows (B, n*H) can be given as a view. All others are
    (B, H), with unit stride in the last axis. B may be 0. Arrays share no memory, except where it is said; what isn't
    said to be changed or filled stays as it was.
    """

    name: str

    # (a, nonlinearity): a, the pre-activations, becomes h; nonlinearity is "tanh" or "relu"
    rnn: Callable[[Any, str], None]
    # (h, dh, nonlinearity): dh becomes da; for relu that is 0 where h <= 0
    rnn_backward: Callable[[Any, Any, str], None]

    # (gates, c_prev, c, h): gates, the pre-activations in the order i, f, g, o, become the gates;
    # c and h are filled; c may be c_prev
    lstm: Callable[[Any, Any, Any, Any], None]
    # (gates, c_prev, c, dh, dc, da): da is filled, in the order i, f, g, o; dc becomes dc_prev; tanh(c) is computed
    # anew
    lstm_backward: Callable[[Any, Any, Any, Any, Any, Any], None]

    # (gates, h_prev, h): gates, the pre-activations of n, r, z, q with all biases, where q = a_hn, the part of n that
    # r multiplies, become n, r, z, q; h is filled
    gru: Callable[[Any, Any, Any], None]
    # (gates, h_prev, dh, da): da is filled: da_n, da_r, da_z, dq; dh becomes z * dh, the way past the gates
    gru_backward: Callable[[Any, Any, Any, Any], None]


@dataclass(frozen=True)
class Kernels:
    """One way of computing the three cells. Above each field stand its arguments -> its results.

    A forward also returns a cache, which its backward consumes: a second backward on the same cache raises
    RuntimeError, unless the first was called with keep_cache=True.
    """

    name: str
    # (*arrays) -> whether these arrays' kind and dtype can be computed here
    accepts: Callable[..., bool]
    # the pointwise level, for who runs steps one by one
    gates: Gates

    # (x, h0, W_ih, W_hh, b, lengths=None, *, nonlinearity="tanh") -> out, h_n, cache
    rnn_forward: Callable[..., Arrays]
    # (dout, dh_n, cache, *, keep_cache=False) -> dx, dh0, dW_ih, dW_hh, db
    rnn_backward: Callable[..., Arrays]
    # (as rnn_forward) -> out, h_n
    rnn_inference: Callable[..., Arrays]
    # (x, h, W_ih, W_hh, b, *, nonlinearity="tanh") -> h'
    rnn_step: Callable[..., Any]

    # (x, h0, c0, W_ih, W_hh, b, lengths=None) -> out, h_n, c_n, cache
    lstm_forward: Callable[..., Arrays]
    # (dout, dh_n, dc_n, cache, *, keep_cache=False) -> dx, dh0, dc0, dW_ih, dW_hh, db
    lstm_backward: Callable[..., Arrays]
    # (as lstm_forward) -> out, h_n, c_n
    lstm_inference: Callable[..., Arrays]
    # (x, h, c, W_ih, W_hh, b) -> h', c'
    lstm_step: Callable[..., Arrays]

    # (x, h0, W_ih, W_hh, b_ih, b_hh, lengths=None) -> out, h_n, cache
    gru_forward: Callable[..., Arrays]
    # (dout, dh_n, cache, *, keep_cache=False) -> dx, dh0, dW_ih, dW_hh, db_ih, db_hh
    gru_backward: Callable[..., Arrays]
    # (as gru_forward) -> out, h_n
    gru_inference: Callable[..., Arrays]
    # (x, h, W_ih, W_hh, b_ih, b_hh) -> h'
    gru_step: Callable[..., Any]

    def of(self, cell: str) -> "CellKernels":
        """Return the functions of one cell, by its name in `cell.CELLS`."""
        return CellKernels(
            *(getattr(self, f"{cell}_{part}", None) for part in ("forward", "backward", "inference", "step"))
        )


@dataclass(frozen=True)
class CellKernels:
    """The functions of a record that compute one cell."""

    forward: Any
    backward: Any
    inference: Any
    step: Any


class Cache:
    """What a forward keeps for its backward: taken once, or as often as it is taken with keep=True."""

    def __init__(self, *kept: Any) -> None:
        self._kept: Arrays | None = kept

    def take(self, keep: bool) -> Arrays:
        """What was kept. Without `keep` the cache is empty afterwards, and the taker may overwrite what it got."""
        if self._kept is None:
            raise RuntimeError(
                "this cache has been consumed by an earlier backward; to walk it more than once, "
                "call every backward but the last with keep_cache=True"
            )
        kept = self._kept
        if not keep:
            self._kept = None
        return kept
