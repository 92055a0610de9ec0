"""Packed matrices and their products.

A panel is a vertical strip of a matrix, some vectors wide, written row after row into contiguous memory, so that the
inner loop of a product reads memory sequentially. Weights are packed once for a whole sequence. The rows of every array
here fill whole vectors or whole panels, with zeros at their ends (`cpu/sequences.py` lays them out).

The parameters of these functions, and of those in `sequence_pass.py`:

    like                an array or a null pointer that gives the dtype; not read
    vectors             the width of a panel in vectors, 3 or PANEL
    n                   rows of the left side and of the result
    K, terms            terms of each sum: the length of a row of the left side, and the rows of a panel
    a                   address of the left side's first entry
    a_stride            bytes from one row of the left side to the next
    across              True if the rows of the left side are neighbouring columns of a panel of PANEL vectors
    panel               address of the panel
    c                   address of the result's first entry
    c_stride            bytes from one row of the result to the next
    v_stride            bytes from one vector of a row of the result to the next
    add                 1 to add to the result, 0 to overwrite it
    ahead               address of a later panel to prefetch, or 0
    W                   weights as the layer stores them, (gates * H, columns)
    gates               gates in W, each a block of H rows
    P                   packed weights
    first, last         the range of bundles, panels or steps, without `last`
"""

from typing import Any

import numpy as np

from minirnn_kernels.cpu.compilation import compiled
from minirnn_kernels.cpu.emit.intrinsics import (
    at,
    copy_panel,
    lanes,
    tile,
    tile3,
    tile3_rows,
    tile_across,
    tile_rows,
    transpose,
)
from minirnn_kernels.cpu.emit.vectors import machine

PANEL = machine().panel  # vectors in a panel


@compiled
def multiply(
    like: Any,
    vectors: int,
    n: int,
    a: int,
    a_stride: int,
    across: bool,
    K: int,
    panel: int,
    c: int,
    c_stride: int,
    v_stride: int,
    add: int,
    ahead: int,
) -> None:
    """Multiply n rows of a by a panel, in tiles whose numbers of rows differ by at most one.

    Each of the first tiles prefetches a part of the panel at `ahead`.
    """
    tiles = -(-n // (tile3_rows() if vectors == 3 else tile_rows()))
    for k in range(tiles):
        r = -(-n // (tiles - k))
        part = ahead + k * 64 * K if ahead != 0 and k < vectors else 0
        if vectors == 3:
            tile3(like, r, a, a_stride, K, panel, c, c_stride, v_stride, add, part)
        elif across:
            tile_across(like, r, a, a_stride, K, panel, c, c_stride, v_stride, add, part)
        else:
            tile(like, r, a, a_stride, K, panel, c, c_stride, v_stride, add, part)
        n -= r
        a += r * a_stride
        c += r * c_stride


@compiled
def pack_columns(like: Any, W: Any, gates: int, P: Any, first: int, last: int) -> None:
    """Pack W^T: W (gates*H, K) -> P (bundles, panels * K * vectors * lanes), bundles `first` to `last`.

    A bundle has a vector of the same units for each gate: three in one panel, four in panels of PANEL. With one gate, a
    bundle is a panel of units.
    """
    H, K = W.shape[0] // gates, W.shape[1]
    L, vectors = lanes(like), 3 if gates == 3 else PANEL
    line = vectors * L * W.itemsize  # bytes of a row of a panel
    for p in range(first, last):
        for v in range(max(gates, vectors)):
            gate, unit = (0, (p * PANEL + v) * L) if gates == 1 else (v, p * L)
            start = (v // vectors * vectors * K + v % vectors) * L
            k = 0
            if unit + L <= H:
                while k + L <= K:
                    to = at(P, p, start + k * vectors * L)
                    transpose(like, at(W, gate * H + unit, k), K * W.itemsize, to, line)
                    k += L
            for rest in range(k, K):
                for u in range(L):
                    inside = unit + u < H
                    P[p, start + rest * vectors * L + u] = W[gate * H + unit + u, rest] if inside else 0


@compiled
def pack_rows(like: Any, W: Any, gates: int, P: Any, first: int, last: int) -> None:
    """Pack W (gates*H, columns) into P (panels, gates * Hp * width), panels `first` to `last`.

    The H rows of each gate are followed by Hp - H rows of zeros.
    """
    width = PANEL * lanes(like)
    H, N = W.shape[0] // gates, W.shape[1]
    Hp = P.shape[1] // (gates * width)
    sums = np.empty((1, width), W.dtype)  # unused: `copy_panel` also adds up the rows
    for p in range(first, last):
        columns = N - p * width
        for gate in range(gates):
            to = gate * Hp * width
            if columns >= width:
                copy_panel(like, at(W, gate * H, p * width), N * W.itemsize, H, at(P, p, to), at(sums, 0, 0))
            else:
                for k in range(H):
                    for u in range(width):
                        P[p, to + k * width + u] = W[gate * H + k, p * width + u] if u < columns else 0
            P[p, to + H * width : to + Hp * width] = 0
