"""Whole sequences compiled by Numba: the fast record for CPUs.

What runs is `sequence_pass.py`; here its memory is laid out, and the threads are given their shares. Whatever doesn't
fill whole vectors is filled up here, and cut off again from the results; sizes that are multiples of 64 (32 in float64)
need no copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numba
import numpy as np

from minirnn_kernels.contract import Arrays, Cache, CellKernels, Kernels
from minirnn_kernels.cpu import fused, run, sequence_pass, steps
from minirnn_kernels.cpu.batch_layout import far, rows_of
from minirnn_kernels.cpu.emit import vectors
from minirnn_kernels.cpu.gates import GATES
from minirnn_kernels.cpu.memory import LINE, aligned, borrowed, give_back
from minirnn_kernels.cpu.products import PANEL
from minirnn_kernels.cpu.sequence_pass import GRU, LSTM, RNN, ROWS_BLOCK
from minirnn_kernels.gates import check_nonlinearity
from minirnn_kernels.reference.sequences import accepts

Array = Any


def _up(n: int, to: int) -> int:
    return -(-n // to) * to


def _plain(a: Array) -> Array:
    """The array itself if its entries stand one after the other, else a copy."""
    return a if a.flags.c_contiguous and a.flags.aligned else a.copy(order="C")


def _wide(a: Array, width: int) -> Array:
    """a (n, columns), its rows filled up with zeros to `width` columns."""
    if a.shape[1] == width:
        return _plain(a)
    wide = aligned(len(a), width, dtype=a.dtype, make=np.zeros)
    wide[:, : a.shape[1]] = a
    return wide


def _narrow(a: Array, blocks: int, Hp: int, H: int, columns: int) -> Array:
    """(blocks * Hp, wide) -> (blocks * H, columns)"""
    if (Hp, a.shape[1]) == (H, columns):
        return a
    return a.reshape(blocks, Hp, -1)[:, :H, :columns].reshape(blocks * H, columns)


def _forward(
    cell: int,
    x: Array,
    h0: Array,
    c0: Any,
    W_ih: Array,
    W_hh: Array,
    bias: Array,
    lengths: Any,
    relu: int,
    training: bool,
) -> Arrays:
    """bias (blocks, H) -> out, h_n, c_n or None, what the backward needs"""
    T, B, I = x.shape
    H, dtype = h0.shape[1], x.dtype
    L = vectors.lanes(dtype)
    Hw = _up(H, PANEL * L)
    Hp = Hw if cell == RNN else _up(H, L)
    blocks = len(bias)
    rows = rows_of(T, B, lengths, cell * H, I + H)
    x, W_ih, W_hh = rows.pack(x), _plain(W_ih), _plain(W_hh)
    N = len(x)
    seen = training or not rows.ragged  # whether h, or a part of it, is given to the caller
    h = (aligned if seen else borrowed)(B + N, Hw if training else H, dtype=dtype)
    h[:B, :H] = rows.sort(h0)
    h[:B, H:] = 0
    keep = training and cell != RNN
    chunk = max(1, min(T, ROWS_BLOCK * rows.parts // max(B, 1)))
    G = borrowed(N if keep else chunk * B, blocks * Hp + LINE // x.itemsize, dtype=dtype)
    c = borrowed(B + N if training else B, Hw, dtype=dtype) if cell == LSTM else h[:0]
    if cell == LSTM:
        c[:B] = _wide(rows.sort(c0), Hw)
    b = _wide(bias, Hp)
    panels, width = (Hp // (PANEL * L), PANEL * L) if cell == RNN else (Hp // L, cell * L)
    P_ih, P_hh = (borrowed(rows.copies * panels, n * width, dtype=dtype) for n in (I, H))
    schedule = rows.schedule(chunk, keep, training)
    run.run(
        "forward", dtype, rows.parts, cell=cell, relu=relu, by_units=rows.by_units, far=far(cell, H, I), T=T, rows=N,
        batch=B, I=I, H=H, Hp=Hp, Hw=Hw, Gw=G.shape[1], h_width=h.shape[1], chunk=chunk, G_rows=len(G), c_rows=len(c),
        schedule=schedule, x=x, h=h, c=c, G=G, W_ih=W_ih, W_hh=W_hh, P_ih=P_ih, P_hh=P_hh, b=b,
    )  # fmt: skip
    out = rows.unpack(h[B:, :H])
    h_n = rows.last(h, H)
    c_n = None if cell != LSTM else rows.last(c, H) if training else rows.unsort(c[:, :H])
    give_back(
        P_ih, P_hh, *([] if keep else [G]), *([c] if cell == LSTM and not training else []), *([] if seen else [h])
    )
    return out, h_n, c_n, (x, h, c, W_ih, W_hh, G, rows, relu)


def _backward(cell: int, dout: Any, dstates: Arrays, kept: Sequence[Any], copy: bool) -> Arrays:
    """-> dx, the gradients into the initial states, dW_ih, dW_hh, db of G's blocks"""
    x, h, c, W_ih, W_hh, G, rows, relu = kept
    (N, I), H, dtype, B = x.shape, W_hh.shape[1], x.dtype, rows.B
    L = vectors.lanes(dtype)
    width = PANEL * L
    Hw, Iw = h.shape[1], _up(I, width)
    Hp = Hw if cell == RNN else _up(H, L)
    if cell == RNN:
        G = borrowed(N, Hp + LINE // x.itemsize, dtype=dtype)
    elif copy:
        gates, G = G, borrowed(*G.shape, dtype=dtype)
        G[:] = gates
    d = aligned(2 * B, Hw, dtype=dtype, make=np.zeros)
    for k, dstate in enumerate(dstates):
        if dstate is not None:
            d[k * B : (k + 1) * B, :H] = rows.sort(dstate)
    dout = np.zeros((1, Hw), dtype) if dout is None else _wide(rows.pack(dout), Hw)
    dx = aligned(N, Iw, dtype=dtype)
    dW_ih, dW_hh = (aligned(cell * Hp, n, dtype=dtype) for n in (Iw, Hw))
    blocks = 1 if cell == RNN else 4
    db = np.zeros(blocks * Hp + width, dtype)
    P_ih, P_hh = (borrowed(n, cell * Hp * width, dtype=dtype) for n in (Iw // width, rows.copies * Hw // width))
    scratch = borrowed(rows.parts, (2 + (Iw + Hw) // width) * sequence_pass.TERMS_BLOCK * width, dtype=dtype)
    run.run(
        "backward", dtype, rows.parts, cell=cell, relu=relu, by_units=rows.by_units, far=far(cell, H, I), T=rows.T,
        rows=N, batch=B, I=I, H=H, Hp=Hp, Hw=Hw, Iw=Iw, Gw=G.shape[1], G_rows=len(G), c_rows=len(c),
        dout_rows=len(dout) if len(dout) == N and N > 1 else 0, schedule=rows.schedule(rows.T, True, True),
        starts=rows.starts, x=_wide(x, Iw), h=h, c=c, G=G, W_ih=W_ih, W_hh=W_hh, P_ih=P_ih, P_hh=P_hh,
        h_prev=rows.before(h), dout=dout, d=d, dx=dx, dW_ih=dW_ih, dW_hh=dW_hh, db=db, scratch=scratch,
        scratch_size=scratch.strides[0],
    )  # fmt: skip
    give_back(G, P_ih, P_hh, scratch)
    if cell == LSTM and not copy:
        give_back(c)
    states = (rows.unsort(d[:B, :H]), rows.unsort(d[B:, :H]))
    db = db[: blocks * Hp].reshape(-1, Hp)[:, :H]
    return (
        rows.unpack(dx[:, :I]), *states, _narrow(dW_ih, cell, Hp, H, I), _narrow(dW_hh, cell, Hp, H, H), db
    )  # fmt: skip


def rnn_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None, *, nonlinearity: str = "tanh"
) -> Arrays:
    """-> out, h_n, cache; shapes as in `contract`."""
    check_nonlinearity(nonlinearity)
    relu = int(nonlinearity == "relu")
    out, h_n, _, kept = _forward(RNN, x, h0, None, W_ih, W_hh, b.reshape(1, -1), lengths, relu, True)
    return out, h_n, Cache(*kept)


def rnn_inference(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None, *, nonlinearity: str = "tanh"
) -> Arrays:
    """-> out, h_n: the forward without its memory."""
    check_nonlinearity(nonlinearity)
    relu = int(nonlinearity == "relu")
    return _forward(RNN, x, h0, None, W_ih, W_hh, b.reshape(1, -1), lengths, relu, False)[:2]


def rnn_backward(dout: Any, dh_n: Any, cache: Cache, *, keep_cache: bool = False) -> Arrays:
    """-> dx, dh0, dW_ih, dW_hh, db; shapes as in `contract`."""
    dx, dh0, _, dW_ih, dW_hh, db = _backward(RNN, dout, (dh_n,), cache.take(keep_cache), keep_cache)
    return dx, dh0, dW_ih, dW_hh, db.ravel()


def lstm_forward(x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None) -> Arrays:
    """-> out, h_n, c_n, cache; shapes as in `contract`."""
    out, h_n, c_n, kept = _forward(LSTM, x, h0, c0, W_ih, W_hh, b.reshape(4, -1), lengths, 0, True)
    return out, h_n, c_n, Cache(*kept)


def lstm_inference(x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None) -> Arrays:
    """-> out, h_n, c_n: the forward without its memory; one c is updated in place."""
    return _forward(LSTM, x, h0, c0, W_ih, W_hh, b.reshape(4, -1), lengths, 0, False)[:3]


def lstm_backward(dout: Any, dh_n: Any, dc_n: Any, cache: Cache, *, keep_cache: bool = False) -> Arrays:
    """-> dx, dh0, dc0, dW_ih, dW_hh, db; shapes as in `contract`."""
    *rest, db = _backward(LSTM, dout, (dh_n, dc_n), cache.take(keep_cache), keep_cache)
    return *rest, db.ravel()


def _gru(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, lengths: Any, training: bool
) -> Arrays:
    H = h0.shape[1]
    r, z, n = b_ih.reshape(3, H)
    bias = np.stack([n, r + b_hh[:H], z + b_hh[H : 2 * H], b_hh[2 * H :]])
    return _forward(GRU, x, h0, None, np.roll(W_ih, H, axis=0), W_hh, bias, lengths, 0, training)


def gru_forward(x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, lengths: Any = None) -> Arrays:
    """-> out, h_n, cache; shapes as in `contract`."""
    out, h_n, _, kept = _gru(x, h0, W_ih, W_hh, b_ih, b_hh, lengths, True)
    return out, h_n, Cache(*kept)


def gru_inference(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, lengths: Any = None
) -> Arrays:
    """-> out, h_n: the forward without its memory."""
    return _gru(x, h0, W_ih, W_hh, b_ih, b_hh, lengths, False)[:2]


def gru_backward(dout: Any, dh_n: Any, cache: Cache, *, keep_cache: bool = False) -> Arrays:
    """-> dx, dh0, dW_ih, dW_hh, db_ih, db_hh; shapes as in `contract`."""
    dx, dh0, _, dW_ih, dW_hh, db = _backward(GRU, dout, (dh_n,), cache.take(keep_cache), keep_cache)
    n, r, z, q = db
    db_ih, db_hh = np.concatenate([r, z, n]), np.concatenate([r, z, q])
    return dx, dh0, np.roll(dW_ih, -dh0.shape[1], axis=0), dW_hh, db_ih, db_hh


_STEPS = steps.steps(rnn_inference, lstm_inference, gru_inference)
_COMPILED = Kernels(
    name="numba",
    accepts=accepts,
    gates=GATES,
    rnn=CellKernels(rnn_forward, rnn_backward, rnn_inference, _STEPS["rnn"]),
    lstm=CellKernels(lstm_forward, lstm_backward, lstm_inference, _STEPS["lstm"]),
    gru=CellKernels(gru_forward, gru_backward, gru_inference, _STEPS["gru"]),
)


# Where Numba has been told not to compile, the second rung computes, and says so.
KERNELS = replace(fused.KERNELS, name="numba") if numba.config.DISABLE_JIT else _COMPILED
