"""Conversion of a recurrent layer's weights between libraries, which differ in gate order and transposition.

    W_ih, W_hh, b = convert("lstm", "cs231n", "pytorch", Wx, Wh, b)

All libraries compute x W_ih^T + h W_hh^T + b. W_ih is (K, I), or (I, K) if the library transposes it, and the K rows or
columns are the blocks of the gates, H each.

Biases have the form that the steps in `minirnn.cells` take: one vector (K,) for the RNN and the LSTM, two for the GRU
(input side, recurrent side). Some libraries store them differently. For the RNN and the LSTM, add PyTorch's `bias_ih`
and `bias_hh`, and the two halves of ONNX's B (2K,). Keras's GRU bias (2, K) has the two vectors as rows. The GRU here
applies r after the recurrent product, as PyTorch always does, and as Keras and ONNX do with reset_after=True and
linear_before_reset=1. ONNX's leading axis of directions is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn_kernels.cell import CELLS

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """The layout in which one library stores the weights of a recurrent layer."""

    transposed: bool  # W_ih is (I, K) and W_hh is (H, K)
    orders: Mapping[str, str]  # cell: its gates in the order of the blocks, one letter each; only the library's cells


# Other libraries' orders, with our letters. i f g o: input, forget, candidate, output. r z n: reset, update, candidate.
LAYOUTS = {
    "pytorch": Layout(transposed=False, orders={name: "".join(CELLS[name].gates) for name in ("rnn", "lstm", "gru")}),
    # keras.layers.LSTM ("ifco"), GRU ("zrh")
    "keras": Layout(transposed=True, orders={"rnn": "h", "lstm": "ifgo", "gru": "zrn"}),
    # the operators LSTM ("iofc"), GRU ("zrh") and RNN
    "onnx": Layout(transposed=False, orders={"rnn": "h", "lstm": "iofg", "gru": "zrn"}),
    # Stanford CS231n, assignment 3, rnn_layers.py
    "cs231n": Layout(transposed=True, orders={"rnn": "h", "lstm": "ifog"}),
}


def convert(cell: str, source: str, target: str, W_ih: Array, W_hh: Array, *biases: Array) -> tuple[Array, ...]:
    """Convert one layer's weights from layout `source` to layout `target`: new arrays W_ih, W_hh and each bias.

    cell: "rnn", "lstm" or "gru". Layouts: "pytorch", "keras", "onnx", "cs231n" (which has no GRU).
    Raises ValueError for an unknown name and for a shape that does not match.
    """
    if cell not in CELLS:
        raise ValueError(f"cell is {cell!r}, expected one of {', '.join(map(repr, CELLS))}")
    old, old_order = _layout("source", source, cell)
    new, new_order = _layout("target", target, cell)
    _check_shapes(len(old_order), old.transposed, W_ih, W_hh, biases)

    def reordered(a: Array) -> Array:
        blocks = dict(zip(old_order, np.split(a, len(old_order)), strict=True))
        return np.concatenate([blocks[gate] for gate in new_order])

    matrices = [reordered(W.T if old.transposed else W) for W in (W_ih, W_hh)]
    turned = [np.ascontiguousarray(W.T) if new.transposed else W for W in matrices]
    return (*turned, *map(reordered, biases))


def _layout(argument: str, name: str, cell: str) -> tuple[Layout, str]:
    if name not in LAYOUTS:
        raise ValueError(f"{argument} is {name!r}, expected one of {', '.join(map(repr, LAYOUTS))}")
    if cell not in LAYOUTS[name].orders:
        raise ValueError(f"{argument} is {name!r}, which has no {cell}")
    return LAYOUTS[name], LAYOUTS[name].orders[cell]


def _check_shapes(gates: int, transposed: bool, W_ih: Array, W_hh: Array, biases: tuple[Array, ...]) -> None:
    K, H = W_hh.shape[:: -1 if transposed else 1] if W_hh.ndim == 2 else (0, 1)
    if gates * H != K:
        wanted = f"(H, {gates}H)" if transposed else f"({gates}H, H)"
        raise ValueError(f"W_hh has shape {W_hh.shape}, expected {wanted}")
    if W_ih.ndim != 2 or W_ih.shape[1 if transposed else 0] != K:
        wanted = f"(I, {K})" if transposed else f"({K}, I)"
        raise ValueError(f"W_ih has shape {W_ih.shape}, expected {wanted} to match W_hh of shape {W_hh.shape}")
    for k, b in enumerate(biases):
        if b.shape != (K,):
            raise ValueError(f"bias {k + 1} has shape {b.shape}, expected ({K},)")
