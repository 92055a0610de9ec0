"""The contract between a recurrent layer and the kernels that compute it.

A set of kernels is a record of ten functions over whole sequences of one layer in one direction. The contract in
words, with the rules on aliasing, mutation, lengths and NaN, is kernels/README.md; `conformance.prove` holds a record
to it.

Shapes: x (T, B, I) time-major; h0, c0 (B, H); W_ih (K, I), W_hh (K, H), biases (K,), where K is H for the RNN, 4H for
the LSTM (blocks i, f, g, o), 3H for the GRU (blocks r, z, n); lengths (B,) of ints in 1..T, or None for T everywhere;
out (T, B, H), exactly zero past each sequence's end; h_n, c_n (B, H), the states at each sequence's own last step. A
gradient has the shape of what it belongs to; dout, dh_n and dc_n may be None, which means zero.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Arrays = tuple[Any, ...]


@dataclass(frozen=True)
class Kernels:
    """One way of computing the three cells. Above each field stand its arguments -> its results.

    A forward also returns a cache, which its backward consumes: a second backward on the same cache raises
    RuntimeError, unless the first was called with keep_cache=True.
    """

    name: str
    # (*arrays) -> whether these arrays' kind and dtype can be computed here
    accepts: Callable[..., bool]

    # (x, h0, W_ih, W_hh, b, lengths=None, *, nonlinearity="tanh") -> out, h_n, cache
    rnn_forward: Callable[..., Arrays]
    # (dout, dh_n, cache, *, keep_cache=False) -> dx, dh0, dW_ih, dW_hh, db
    rnn_backward: Callable[..., Arrays]
    # (as rnn_forward) -> out, h_n
    rnn_inference: Callable[..., Arrays]

    # (x, h0, c0, W_ih, W_hh, b, lengths=None) -> out, h_n, c_n, cache
    lstm_forward: Callable[..., Arrays]
    # (dout, dh_n, dc_n, cache, *, keep_cache=False) -> dx, dh0, dc0, dW_ih, dW_hh, db
    lstm_backward: Callable[..., Arrays]
    # (as lstm_forward) -> out, h_n, c_n
    lstm_inference: Callable[..., Arrays]

    # (x, h0, W_ih, W_hh, b_ih, b_hh, lengths=None) -> out, h_n, cache
    gru_forward: Callable[..., Arrays]
    # (dout, dh_n, cache, *, keep_cache=False) -> dx, dh0, dW_ih, dW_hh, db_ih, db_hh
    gru_backward: Callable[..., Arrays]
    # (as gru_forward) -> out, h_n
    gru_inference: Callable[..., Arrays]


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
