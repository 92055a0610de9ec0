"""Whole sequences compiled by Numba: the record "numba", the fastest on CPUs.

`sequence_pass.py` has the computation; this file lays out its memory and divides the work among threads. Arrays whose
rows do not fill whole vectors are padded with zeros, and the results are cut to size; no copies are needed for sizes
that are multiples of 64 (32 in float64).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numba
import numpy as np

from minirnn_kernels.arithmetic import round_up
from minirnn_kernels.cell import GRU, LSTM, RNN, Cell
from minirnn_kernels.contract import Arrays, Cache, CellKernels, Kernels
from minirnn_kernels.cpu import fused, launch, sequence_pass, steps
from minirnn_kernels.cpu.batch_layout import rows_of
from minirnn_kernels.cpu.cost_model import prefetches
from minirnn_kernels.cpu.emit import vectors
from minirnn_kernels.cpu.gates import GATES
from minirnn_kernels.cpu.job import CELL_IDS
from minirnn_kernels.cpu.memory import LINE, aligned, borrowed, contiguous, give_back
from minirnn_kernels.cpu.products import PANEL
from minirnn_kernels.cpu.sequence_pass import ROWS_BLOCK, TERMS_BLOCK
from minirnn_kernels.gates import Array, check_nonlinearity
from minirnn_kernels.reference.sequences import accepts
from minirnn_kernels.validation import validated


class _Inputs(NamedTuple):
    """The arguments of a forward pass, in one form for all cells."""

    cell: Cell
    x: Array  # (T, B, I)
    h0: Array  # (B, H)
    c0: Any  # (B, H), or None for a cell without c
    W_ih: Array  # (n * H, I) for n gates; the GRU's in the order n, r, z
    W_hh: Array  # (n * H, H)
    bias: Array  # (blocks of G, H)
    lengths: Any  # (B,), or None if every sequence has T steps
    relu: int = 0  # 1 for an RNN with relu


def _padded(a: Array, width: int) -> Array:
    """Return a (n, columns) with its rows padded with zeros to `width` columns."""
    if a.shape[1] == width:
        return contiguous(a)
    wide = aligned(len(a), width, dtype=a.dtype, make=np.zeros)
    wide[:, : a.shape[1]] = a
    return wide


def _cut(a: Array, blocks: int, Hp: int, H: int, columns: int) -> Array:
    """Return the array (blocks * H, columns) inside a (blocks * Hp, wide)."""
    if (Hp, a.shape[1]) == (H, columns):
        return a
    return a.reshape(blocks, Hp, -1)[:, :H, :columns].reshape(blocks * H, columns)


def _widths(cell: Cell, H: int, dtype: Any) -> tuple[int, int]:
    """Return Hp and Hw: H padded to the width of a block of G, and to whole panels."""
    L = vectors.lanes(dtype)
    Hw = round_up(H, PANEL * L)
    return Hw if cell is RNN else round_up(H, L), Hw


def _forward(inputs: _Inputs, training: bool) -> Arrays:
    """Return out, h_n, c_n or None, and the values for the backward pass."""
    cell, x, h0, c0, W_ih, W_hh, bias, lengths, relu = inputs
    gates, has_c = len(cell.gates), c0 is not None
    T, B, I = x.shape
    H, dtype, L = h0.shape[1], x.dtype, vectors.lanes(x.dtype)
    Hp, Hw = _widths(cell, H, dtype)
    rows = rows_of(T, B, lengths, gates * H, I + H)
    x, W_ih, W_hh = rows.pack(x), contiguous(W_ih), contiguous(W_hh)
    N = len(x)
    returned = training or not rows.ragged  # the results share memory with h, or the backward pass needs h
    h = (aligned if returned else borrowed)(B + N, Hw if training else H, dtype=dtype)
    h[:B, :H] = rows.sort(h0)
    h[:B, H:] = 0
    keep = training and cell is not RNN
    chunk = max(1, min(T, ROWS_BLOCK * rows.parts // max(B, 1)))
    G = borrowed(N if keep else chunk * B, len(bias) * Hp + LINE // x.itemsize, dtype=dtype)
    c = borrowed(B + N if training else B, Hw, dtype=dtype) if has_c else h[:0]
    if has_c:
        c[:B] = _padded(rows.sort(c0), Hw)
    panels, width = (Hp // (PANEL * L), PANEL * L) if cell is RNN else (Hp // L, gates * L)
    P_ih, P_hh = (borrowed(rows.copies * panels, n * width, dtype=dtype) for n in (I, H))
    launch.run(
        sequence_pass.FORWARD, dtype, rows.parts, cell=CELL_IDS[cell.name], gates=gates, relu=relu,
        by_units=rows.by_units, prefetch=prefetches(gates * H * (I + H)), T=T, rows=N, batch=B, I=I, H=H, Hp=Hp, Hw=Hw,
        Gw=G.shape[1], h_width=h.shape[1], chunk=chunk, G_rows=len(G), c_rows=len(c),
        schedule=rows.schedule(chunk, keep, training), x=x, h=h, c=c, G=G, W_ih=W_ih, W_hh=W_hh, P_ih=P_ih, P_hh=P_hh,
        b=_padded(bias, Hp),
    )  # fmt: skip
    out = rows.unpack(h[B:, :H])
    h_n = rows.last(h, H)
    c_n = None if not has_c else rows.last(c, H) if training else rows.unsort(c[:, :H])
    unused = ((G, not keep), (c, has_c and not training), (h, not returned))
    give_back(P_ih, P_hh, *(array for array, free in unused if free))
    return out, h_n, c_n, (x, h, c, W_ih, W_hh, G, rows, relu)


def _backward(cell: Cell, dout: Any, dstates: Arrays, kept: Sequence[Any], copy: bool) -> Arrays:
    """Return dx, the gradients of the initial states, dW_ih, dW_hh, and db of G's blocks."""
    x, h, c, W_ih, W_hh, G, rows, relu = kept
    gates = len(cell.gates)
    (N, I), H, dtype, B = x.shape, W_hh.shape[1], x.dtype, rows.B
    width = PANEL * vectors.lanes(dtype)
    Iw, (Hp, Hw) = round_up(I, width), _widths(cell, H, dtype)
    if cell is RNN:
        G = borrowed(N, Hp + LINE // x.itemsize, dtype=dtype)
    elif copy:
        G_kept, G = G, borrowed(*G.shape, dtype=dtype)
        G[:] = G_kept
    d = aligned(2 * B, Hw, dtype=dtype, make=np.zeros)
    for k, dstate in enumerate(dstates):
        if dstate is not None:
            d[k * B : (k + 1) * B, :H] = rows.sort(dstate)
    dout = np.zeros((1, Hw), dtype) if dout is None else _padded(rows.pack(dout), Hw)
    dx, dW_ih, dW_hh = (aligned(n, w, dtype=dtype) for n, w in ((N, Iw), (gates * Hp, Iw), (gates * Hp, Hw)))
    columns = G.shape[1] - LINE // x.itemsize  # of all blocks
    db = np.zeros(columns + width, dtype)
    P_ih, P_hh = (borrowed(n, gates * Hp * width, dtype=dtype) for n in (Iw // width, rows.copies * Hw // width))
    scratch = borrowed(rows.parts, (2 + (Iw + Hw) // width) * TERMS_BLOCK * width, dtype=dtype)
    launch.run(
        sequence_pass.BACKWARD, dtype, rows.parts, cell=CELL_IDS[cell.name], gates=gates, relu=relu,
        by_units=rows.by_units, prefetch=prefetches(gates * H * (I + H)), T=rows.T, rows=N, batch=B, I=I, H=H, Hp=Hp,
        Hw=Hw, Iw=Iw, Gw=G.shape[1], G_rows=len(G), c_rows=len(c),
        dout_rows=len(dout) if len(dout) == N and N > 1 else 0, schedule=rows.schedule(rows.T, True, True),
        starts=rows.starts, x=_padded(x, Iw), h=h, c=c, G=G, W_ih=W_ih, W_hh=W_hh, P_ih=P_ih, P_hh=P_hh,
        h_prev=rows.before(h), dout=dout, d=d, dx=dx, dW_ih=dW_ih, dW_hh=dW_hh, db=db, scratch=scratch,
        scratch_size=scratch.strides[0],
    )  # fmt: skip
    give_back(G, P_ih, P_hh, scratch, *([c] if "c" in cell.states and not copy else []))
    return (
        rows.unpack(dx[:, :I]), rows.unsort(d[:B, :H]), rows.unsort(d[B:, :H]), _cut(dW_ih, gates, Hp, H, I),
        _cut(dW_hh, gates, Hp, H, H), db[:columns].reshape(-1, Hp)[:, :H],
    )  # fmt: skip


# ---- the record: arguments and results as in `contract.CellKernels` --------------------------------------------------


def _rnn(x: Array, h0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any, nonlinearity: str) -> _Inputs:
    check_nonlinearity(nonlinearity)
    return _Inputs(RNN, x, h0, None, W_ih, W_hh, b.reshape(1, -1), lengths, int(nonlinearity == "relu"))


def rnn_forward(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None, *, nonlinearity: str = "tanh"
) -> Arrays:
    """Return out, h_n and the cache."""
    out, h_n, _, kept = _forward(_rnn(x, h0, W_ih, W_hh, b, lengths, nonlinearity), True)
    return out, h_n, Cache(*kept)


def rnn_inference(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None, *, nonlinearity: str = "tanh"
) -> Arrays:
    """Return out and h_n."""
    return _forward(_rnn(x, h0, W_ih, W_hh, b, lengths, nonlinearity), False)[:2]


def rnn_backward(dout: Any, dh_n: Any, cache: Cache, *, keep_cache: bool = False) -> Arrays:
    """Return dx, dh0, dW_ih, dW_hh and db."""
    dx, dh0, _, dW_ih, dW_hh, db = _backward(RNN, dout, (dh_n,), cache.take(keep_cache), keep_cache)
    return dx, dh0, dW_ih, dW_hh, db.ravel()


def lstm_forward(x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None) -> Arrays:
    """Return out, h_n, c_n and the cache."""
    inputs = _Inputs(LSTM, x, h0, c0, W_ih, W_hh, b.reshape(len(LSTM.gates), -1), lengths)
    *results, kept = _forward(inputs, True)
    return *results, Cache(*kept)


def lstm_inference(x: Array, h0: Array, c0: Array, W_ih: Array, W_hh: Array, b: Array, lengths: Any = None) -> Arrays:
    """Return out, h_n and c_n; one c is updated in place."""
    return _forward(_Inputs(LSTM, x, h0, c0, W_ih, W_hh, b.reshape(len(LSTM.gates), -1), lengths), False)[:3]


def lstm_backward(dout: Any, dh_n: Any, dc_n: Any, cache: Cache, *, keep_cache: bool = False) -> Arrays:
    """Return dx, dh0, dc0, dW_ih, dW_hh and db."""
    *rest, db = _backward(LSTM, dout, (dh_n, dc_n), cache.take(keep_cache), keep_cache)
    return *rest, db.ravel()


def _gru(x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, lengths: Any) -> _Inputs:
    """Return the inputs with the blocks of W_ih and of the biases in G's order: n r z, and n r z q."""
    (r, z, n), (r_hh, z_hh, q), H = b_ih.reshape(3, -1), b_hh.reshape(3, -1), h0.shape[1]
    bias = np.stack([n, r + r_hh, z + z_hh, q])
    return _Inputs(GRU, x, h0, None, np.roll(W_ih, H, axis=0), W_hh, bias, lengths)


def gru_forward(x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, lengths: Any = None) -> Arrays:
    """Return out, h_n and the cache."""
    out, h_n, _, kept = _forward(_gru(x, h0, W_ih, W_hh, b_ih, b_hh, lengths), True)
    return out, h_n, Cache(*kept)


def gru_inference(
    x: Array, h0: Array, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array, lengths: Any = None
) -> Arrays:
    """Return out and h_n."""
    return _forward(_gru(x, h0, W_ih, W_hh, b_ih, b_hh, lengths), False)[:2]


def gru_backward(dout: Any, dh_n: Any, cache: Cache, *, keep_cache: bool = False) -> Arrays:
    """Return dx, dh0, dW_ih, dW_hh, db_ih and db_hh."""
    dx, dh0, _, dW_ih, dW_hh, (n, r, z, q) = _backward(GRU, dout, (dh_n,), cache.take(keep_cache), keep_cache)
    db_ih, db_hh = np.concatenate([r, z, n]), np.concatenate([r, z, q])
    return dx, dh0, np.roll(dW_ih, -dh0.shape[1], axis=0), dW_hh, db_ih, db_hh


_STEPS = steps.steps(rnn_inference, lstm_inference, gru_inference)
_COMPILED = validated(
    Kernels(
        name="numba",
        accepts=accepts,
        gates=GATES,
        rnn=CellKernels(rnn_forward, rnn_backward, rnn_inference, _STEPS["rnn"]),
        lstm=CellKernels(lstm_forward, lstm_backward, lstm_inference, _STEPS["lstm"]),
        gru=CellKernels(gru_forward, gru_backward, gru_inference, _STEPS["gru"]),
    )
)


# If NUMBA_DISABLE_JIT is set, the record is that of the second stage, which prints a line that says so.
KERNELS = replace(fused.KERNELS, name="numba") if numba.config.DISABLE_JIT else _COMPILED
