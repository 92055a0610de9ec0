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
from minirnn_kernels.cuda.plans import MOST_TILES, THREADS, storage_of, unit_layout
from minirnn_kernels.cuda.source import PRODUCT_KINDS, KernelConfiguration
from minirnn_kernels.gates import check_nonlinearity


@dataclass(slots=True)
class GateStep:
    """The arrays of one step. An array that the cell or the direction does not use, or that is zero, is None.

    n is the number of values of a unit in `gates`, S the dtype of stored arrays and A the dtype of sums and gates. The
    last axis of each array has unit stride; arrays without a note on their strides are contiguous.
    """

    cell: Cell
    gates: Array | None = None  # (n, B, H) A, any strides: pre-activations, which become the gates (except the RNN's)
    h: Array | None = None  # (B, H) S, any stride: filled by the forward pass; the RNN's can be gates[0]
    recurrent: Array | None = None  # forward (B, products * H) A: h W_hh^T, None if `gates` includes it;
    # backward (B, H) A, any stride: da W_hh of the next step
    bias: Array | None = None  # GRU: (H,) A, b_hn, which is added to the recurrent part of q
    c_prev: Array | None = None  # LSTM: (B, H) A, any stride
    c: Array | None = None  # LSTM: (B, H) A, any stride: filled by the forward pass; can be c_prev
    h_prev: Array | None = None  # GRU: (B, H) S, any stride
    lengths: Array | None = None  # (B,) int32: rows with t >= length get h = 0 and c = c_prev, and da = 0
    t: int = 0
    relu: bool = False
    # the backward pass
    T: int = 1
    dout: Array | None = None  # (B, H) S
    dh_n: Array | None = None  # (B, H) A: added at the last step of each row
    dc_n: Array | None = None  # LSTM: (B, H) A: added at the last step of each row
    carry: Array | None = None  # (B, H) A, any stride, in place: LSTM dc, which becomes dc_prev; GRU z * dh
    da: Array | None = None  # (n, B, H) S, any strides: filled; can be `gates`, or the RNN's `recurrent`


def step_forward(device: Device, s: GateStep) -> None:
    """Launch gates_forward: fill the gates, c and h of one step."""
    arrays = (
        s.recurrent, s.bias, *_with_strides(s.gates), *_with_stride(s.c_prev), *_with_stride(s.c),
        *_with_stride(s.h_prev if s.cell is GRU else None), *_with_stride(s.h), s.lengths,
    )  # fmt: skip
    _launch_gates(device, "gates_forward", s, s.h, arrays, (s.t,))


def step_backward(device: Device, s: GateStep) -> None:
    """Launch gates_backward: fill da of one step, and replace carry with that of the previous step."""
    arrays = (
        *_with_strides(None if s.cell is RNN else s.gates), *_with_stride(s.c_prev), *_with_stride(s.c),
        *_with_stride(s.h_prev if s.cell is GRU else None), *_with_stride(s.h if s.cell is RNN else None),
        *_with_stride(s.recurrent), s.dout, s.dh_n, s.dc_n, *_with_stride(s.carry), *_with_strides(s.da), s.lengths,
    )  # fmt: skip
    _launch_gates(device, "gates_backward", s, s.da, arrays, (s.T, s.t))


def _with_stride(a: Array | None) -> tuple[Any, Any]:
    """Return an array (B, H) and the stride of its rows in elements, which is 0 for None."""
    return a, np.int64(0 if a is None else a.strides[-2] // a.itemsize)


def _with_strides(a: Array | None) -> tuple[Any, Any, Any]:
    """Return an array (n, B, H) and the strides of its gates and of its rows in elements."""
    return a, np.int64(0 if a is None else a.strides[0] // a.itemsize), _with_stride(a)[1]


def _launch_gates(
    device: Device, name: str, step: GateStep, filled: Any, arrays: tuple[Any, ...], times: tuple[int, ...]
) -> None:
    """Launch a kernel of src/gates.cu for all rows and units of `filled` (..., B, H) S, the array it fills."""
    B, H = filled.shape[-2:]
    if B == 0:
        return
    storage = storage_of(filled)
    packs = ceil_div(H * storage.accumulate_bytes, 16)  # a thread processes 16 bytes of units at a time
    threads = min(THREADS, round_up(packs, 32))
    configuration = KernelConfiguration(step.cell.title, storage.name, PRODUCT_KINDS[storage.name][0])
    kernel, grid = Kernel(configuration, "gates", name, threads), (ceil_div(packs, threads), min(B, MOST_TILES))
    device.launch(kernel, grid, (*arrays, *map(np.int32, (*times, B, H, step.relu))))


def by_gate(rows: Array, cell: Cell) -> Array:
    """Return rows (B, n*H) of gates or their gradients as a view (n, B, H)."""
    n = unit_layout(cell).blocks
    return rows.reshape(len(rows), n, rows.shape[1] // n).transpose(1, 0, 2)


def is_relu(nonlinearity: str) -> bool:
    """Return whether a nonlinearity is "relu". Raises ValueError unless it is "relu" or "tanh"."""
    check_nonlinearity(nonlinearity)
    return nonlinearity == "relu"


def gates(device: Device) -> Gates:
    """Return the pointwise level of the contract on a device, for float32 and float64."""

    def rnn(a: Array, nonlinearity: str) -> None:
        step_forward(device, GateStep(RNN, a[None], a, relu=is_relu(nonlinearity)))

    def rnn_backward(h: Array, dh: Array, nonlinearity: str) -> None:
        step_backward(device, GateStep(RNN, h=h, recurrent=dh, da=dh[None], relu=is_relu(nonlinearity)))

    def lstm(gates: Array, c_prev: Array, c: Array, h: Array) -> None:
        step_forward(device, GateStep(LSTM, gates, h, c_prev=c_prev, c=c))

    def lstm_backward(gates: Array, c_prev: Array, c: Array, dh: Array, dc: Array, da: Array) -> None:
        step_backward(device, GateStep(LSTM, gates, recurrent=dh, c_prev=c_prev, c=c, carry=dc, da=da))

    def gru(gates: Array, h_prev: Array, h: Array) -> None:
        step_forward(device, GateStep(GRU, gates, h, h_prev=h_prev))

    def gru_backward(gates: Array, h_prev: Array, dh: Array, da: Array) -> None:
        # dh is passed as the carry: the kernel adds the carry to the gradient, and replaces it with z * dh.
        step_backward(device, GateStep(GRU, gates, h_prev=h_prev, carry=dh, da=da))

    return Gates(
        name="cupy",
        rnn=CellGates(rnn, rnn_backward),
        lstm=CellGates(lstm, lstm_backward),
        gru=CellGates(gru, gru_backward),
    )
