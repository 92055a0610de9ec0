"""The gates of one step on a device: launches of the kernels of src/gates.cu.

Level 1 of `cuda/runner.py` is a loop of these kernels and cuBLAS products. `gates` returns the pointwise level of the
contract.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn_kernels.arithmetic import ceil_div, round_up
from minirnn_kernels.cell import GRU, LSTM, RNN, Cell
from minirnn_kernels.contract import CellGates, Gates
from minirnn_kernels.cuda.device import Array, Device, Kernel
from minirnn_kernels.cuda.plans import THREADS, storage_of, unit_layout
from minirnn_kernels.cuda.source import PRODUCTS, Configuration
from minirnn_kernels.gates import check_nonlinearity


@dataclass(slots=True)
class ForwardStep:
    """The arguments of the kernel gates_forward; an array that a cell does not use is None.

    S is the dtype of stored arrays and A the dtype of sums and gates. The last axis of each array has unit stride.
    """

    cell: Cell
    gates: Array  # (n, B, H) A, pre-activations that become the gates; the RNN's keep their values
    h: Array  # (B, H) S, filled with h'; for the RNN it can be gates[0]
    recurrent: Array | None = None  # (B, products * H) A, contiguous: h W_hh^T; None if `gates` includes it
    bias: Array | None = None  # GRU: (H,) A, b_hn, which is added to the recurrent part of q
    c_prev: Array | None = None  # LSTM: (B, H) A
    c: Array | None = None  # LSTM: (B, H) A, filled with c'; can be c_prev
    h_prev: Array | None = None  # GRU: (B, H) S
    lengths: Array | None = None  # (B,) int32: rows with t >= length get h = 0 and c = c_prev
    t: int = 0
    relu: bool = False


@dataclass(slots=True)
class BackwardStep:
    """The arguments of the kernel gates_backward; an array that a cell does not use, or that is zero, is None.

    S is the dtype of stored arrays and A the dtype of sums and gates. The last axis of each array has unit stride.
    """

    cell: Cell
    da: Array  # (n, B, H) S, filled; can be `gates`, or `recurrent` for the RNN
    gates: Array | None = None  # LSTM, GRU: (n, B, H) A
    c_prev: Array | None = None  # LSTM: (B, H) A
    c: Array | None = None  # LSTM: (B, H) A
    h_prev: Array | None = None  # GRU: (B, H) S
    h: Array | None = None  # RNN: (B, H) S
    recurrent: Array | None = None  # (B, H) A: da W_hh of the next step
    dout: Array | None = None  # (B, H) S, contiguous
    dh_n: Array | None = None  # (B, H) A, contiguous: added at the last step of each row
    dc_n: Array | None = None  # LSTM: (B, H) A, contiguous: added at the last step of each row
    carry: Array | None = None  # (B, H) A, in place: LSTM dc, which becomes dc_prev; GRU z * dh of the next step
    lengths: Array | None = None  # (B,) int32: rows with t >= length get da = 0
    T: int = 1
    t: int = 0
    relu: bool = False


def step_forward(device: Device, step: ForwardStep) -> None:
    """Launch gates_forward: fill the gates, c and h of one step."""
    s = step
    rows = s.h.shape
    arrays = (
        s.recurrent, s.bias, *_with_strides(s.gates), *_with_stride(s.c_prev), *_with_stride(s.c),
        *_with_stride(s.h_prev if s.cell is GRU else None), *_with_stride(s.h), s.lengths,
    )  # fmt: skip
    _launch_gates(device, "gates_forward", s.cell, s.h, (*arrays, *map(np.int32, (s.t, *rows, s.relu))))


def step_backward(device: Device, step: BackwardStep) -> None:
    """Launch gates_backward: fill da of one step, and turn carry into that of the step before."""
    s = step
    rows = s.da.shape[1:]
    arrays = (
        *_with_strides(None if s.cell is RNN else s.gates), *_with_stride(s.c_prev), *_with_stride(s.c),
        *_with_stride(s.h_prev if s.cell is GRU else None), *_with_stride(s.h if s.cell is RNN else None),
        *_with_stride(s.recurrent), s.dout, s.dh_n, s.dc_n, *_with_stride(s.carry), *_with_strides(s.da), s.lengths,
    )  # fmt: skip
    _launch_gates(device, "gates_backward", s.cell, s.da, (*arrays, *map(np.int32, (s.T, s.t, *rows, s.relu))))


def _with_stride(a: Array | None) -> tuple[Any, Any]:
    """Return an array (B, H) and the distance between its rows in elements, which is 0 for None."""
    return a, np.int64(0 if a is None else a.strides[-2] // a.itemsize)


def _with_strides(a: Array | None) -> tuple[Any, Any, Any]:
    """Return an array (n, B, H) and the distances between its gates and between its rows in elements."""
    return a, np.int64(0 if a is None else a.strides[0] // a.itemsize), _with_stride(a)[1]


def _launch_gates(device: Device, name: str, cell: Cell, stored: Array, args: tuple[Any, ...]) -> None:
    """Launch a kernel of src/gates.cu for all rows and units of an array (..., B, H) of the storage type."""
    B, H = stored.shape[-2:]
    if B == 0:
        return
    storage = storage_of(stored)
    packs = ceil_div(H * storage.accumulate_bytes, 16)  # a thread processes 16 bytes of units at a time
    threads = min(THREADS, round_up(packs, 32))
    configuration = Configuration(cell.title, storage.name, PRODUCTS[storage.name][0])
    grid = ceil_div(packs, threads), min(B, 65_535)
    device.launch(Kernel(configuration, "gates", name, threads), grid, args)


def by_gate(rows: Array, cell: Cell) -> Array:
    """Return rows (B, n*H) of gates or their gradients as a view (n, B, H)."""
    n = unit_layout(cell).blocks
    return rows.reshape(len(rows), n, rows.shape[1] // n).transpose(1, 0, 2)


def is_relu(nonlinearity: str) -> bool:
    """Return whether a nonlinearity is "relu". ValueError unless it is "relu" or "tanh"."""
    check_nonlinearity(nonlinearity)
    return nonlinearity == "relu"


def gates(device: Device) -> Gates:
    """Return the pointwise level of the contract on a device, for float32 and float64."""

    def rnn(a: Array, nonlinearity: str) -> None:
        step_forward(device, ForwardStep(RNN, a[None], a, relu=is_relu(nonlinearity)))

    def rnn_backward(h: Array, dh: Array, nonlinearity: str) -> None:
        step_backward(device, BackwardStep(RNN, dh[None], h=h, recurrent=dh, relu=is_relu(nonlinearity)))

    def lstm(gates: Array, c_prev: Array, c: Array, h: Array) -> None:
        step_forward(device, ForwardStep(LSTM, gates, h, c_prev=c_prev, c=c))

    def lstm_backward(gates: Array, c_prev: Array, c: Array, dh: Array, dc: Array, da: Array) -> None:
        step_backward(device, BackwardStep(LSTM, da, gates, c_prev, c, recurrent=dh, carry=dc))

    def gru(gates: Array, h_prev: Array, h: Array) -> None:
        step_forward(device, ForwardStep(GRU, gates, h, h_prev=h_prev))

    def gru_backward(gates: Array, h_prev: Array, dh: Array, da: Array) -> None:
        # dh is passed as the carry: the kernel adds the carry to the gradient, and replaces it by z * dh.
        step_backward(device, BackwardStep(GRU, da, gates, h_prev=h_prev, carry=dh))

    return Gates(
        name="cupy",
        rnn=CellGates(rnn, rnn_backward),
        lstm=CellGates(lstm, lstm_backward),
        gru=CellGates(gru, gru_backward),
    )
