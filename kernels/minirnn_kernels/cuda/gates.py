"""The gates of one step on a device: the kernels of cuda/gates.cu, launched.

Level 1 of `cuda/run.py` is a loop of these around cuBLAS's products; `gates` is the contract's pointwise level.
"""

from typing import Any

import numpy as np

from minirnn_kernels.contract import CellGates, Gates
from minirnn_kernels.cuda.device import Array, Device
from minirnn_kernels.cuda.sequence_pass import GRU, LSTM, RNN, STORAGES, THREADS, Cell, Storage
from minirnn_kernels.cuda.source import PRODUCTS, Configuration
from minirnn_kernels.gates import check_nonlinearity


def by_gate(rows: Array, cell: Cell) -> Array:
    """rows (B, n*H) or (B, H), gates or their gradients, as a view (n, B, H)."""
    B, columns = rows.shape
    return rows.reshape(B, cell.blocks, columns // cell.blocks).transpose(1, 0, 2)


def _stride(a: Array | None, axis: int = -2) -> Any:
    """In elements, as kernels take it; 0 for None."""
    return np.int64(0 if a is None else a.strides[axis] // a.itemsize)


def _launch_gates(
    device: Device, kernel: str, cell: Cell, storage: Storage, B: int, H: int, args: tuple[Any, ...]
) -> None:
    config = Configuration(cell.name, storage.name, PRODUCTS[storage.name][0])
    packs = -(-H * storage.accumulate_bytes // 16)  # of the units that a thread takes at once
    threads = min(THREADS, -(-packs // 32) * 32)
    grid = -(-packs // threads), min(B, 65_535)
    device.launch(config, "gates", kernel, grid, threads, 0, args)


def step_forward(
    device: Device,
    cell: Cell,
    storage: Storage,
    recurrent: Array | None,
    bias: Array | None,
    gates: Array,
    c_prev: Array | None,
    c: Array | None,
    h_prev: Array | None,
    h: Array,
    lengths: Array | None = None,
    t: int = 0,
    relu: bool = False,
) -> None:
    """gates (n, B, H), pre-activations without the recurrent part (B, products * H), become gates; c, h are filled."""
    B, H = h.shape
    if B == 0:
        return
    h_prev = h_prev if cell is GRU else None
    args = (
        recurrent, bias, gates, _stride(gates, 0), _stride(gates), c_prev, _stride(c_prev), c, _stride(c),
        h_prev, _stride(h_prev), h, _stride(h), lengths, np.int32(t), np.int32(B), np.int32(H), np.int32(relu),
    )  # fmt: skip
    _launch_gates(device, "gates_forward", cell, storage, B, H, args)


def step_backward(
    device: Device,
    cell: Cell,
    storage: Storage,
    gates: Array | None,
    c_prev: Array | None,
    c: Array | None,
    h_prev: Array | None,
    h: Array | None,
    recurrent: Array | None,
    dout: Array | None,
    dh_n: Array | None,
    dc_n: Array | None,
    carry: Array | None,
    da: Array,
    lengths: Array | None = None,
    T: int = 1,
    t: int = 0,
    relu: bool = False,
) -> None:
    """da (n, B, H) is filled, carry becomes that of the step before; recurrent is da W_hh of the step that follows."""
    _, B, H = da.shape
    if B == 0:
        return
    gates = None if cell is RNN else gates
    h_prev, h = h_prev if cell is GRU else None, h if cell is RNN else None
    args = (
        gates, _stride(gates, 0) if gates is not None else np.int64(0), _stride(gates), c_prev, _stride(c_prev),
        c, _stride(c), h_prev, _stride(h_prev), h, _stride(h), recurrent, _stride(recurrent), dout, dh_n, dc_n,
        carry, _stride(carry), da, _stride(da, 0), _stride(da), lengths, np.int32(T), np.int32(t), np.int32(B),
        np.int32(H), np.int32(relu),
    )  # fmt: skip
    _launch_gates(device, "gates_backward", cell, storage, B, H, args)


def gates(device: Device) -> Gates:
    """The pointwise level of the contract, for float32 and float64."""

    def rnn(a: Array, nonlinearity: str) -> None:
        step_forward(device, RNN, storage_of(a), None, None, a[None], None, None, None, a, relu=is_relu(nonlinearity))

    def rnn_backward(h: Array, dh: Array, nonlinearity: str) -> None:
        step_backward(
            device, RNN, storage_of(h), None, None, None, None, h, dh, None, None, None, None, dh[None],
            relu=is_relu(nonlinearity),
        )  # fmt: skip

    def lstm(gates: Array, c_prev: Array, c: Array, h: Array) -> None:
        step_forward(device, LSTM, storage_of(h), None, None, gates, c_prev, c, None, h)

    def lstm_backward(gates: Array, c_prev: Array, c: Array, dh: Array, dc: Array, da: Array) -> None:
        step_backward(device, LSTM, storage_of(c), gates, c_prev, c, None, None, dh, None, None, None, dc, da)

    def gru(gates: Array, h_prev: Array, h: Array) -> None:
        step_forward(device, GRU, storage_of(h), None, None, gates, None, None, h_prev, h)

    def gru_backward(gates: Array, h_prev: Array, dh: Array, da: Array) -> None:
        # all of dh comes as the gradient past the products, which becomes z * dh
        step_backward(device, GRU, storage_of(dh), gates, None, None, h_prev, None, None, None, None, None, dh, da)

    return Gates(
        name="cupy",
        rnn=CellGates(rnn, rnn_backward),
        lstm=CellGates(lstm, lstm_backward),
        gru=CellGates(gru, gru_backward),
    )


def storage_of(a: Array) -> Storage:
    return STORAGES[a.dtype.name]


def is_relu(nonlinearity: str) -> bool:
    check_nonlinearity(nonlinearity)
    return nonlinearity == "relu"
