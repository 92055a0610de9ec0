"""Weights of one recurrent layer, from one library's layout to another's: the order of the gates and the transposition.

    W_ih, W_hh, b = convert("lstm", "cs231n", "pytorch", Wx, Wh, b)

Layouts differ in nothing else. All four compute x W_ih^T + h W_hh^T + b, with W_ih as (K, I) or transposed as (I, K),
the K rows or columns being the gates' blocks of H; K is H for the RNN, 4H for the LSTM, 3H for the GRU.

Biases are given as the steps in `minirnn.cells` take them: one vector (K,) for the RNN and the LSTM, two for the GRU
(input side, recurrent side). Where a library stores them otherwise: PyTorch's `bias_ih` and `bias_hh` are added up for
the RNN and the LSTM; Keras' GRU bias (2, K) holds the two as rows; ONNX' B (2K,) holds them as halves, to be added up
likewise. The GRU is the one that applies r after the recurrent product: PyTorch's only one, Keras' reset_after=True,
ONNX' linear_before_reset=1. ONNX' leading axis of directions is left out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """The order of each cell's gates, a letter a block, None where the library lacks the cell; and which way W lies."""

    transposed: bool  # W_ih is (I, K) and W_hh is (H, K)
    lstm: str
    gru: str | None
    rnn: str = "h"

    def order(self, cell: str) -> str | None:
        """The gates' letters of a cell, in this layout's order."""
        return {"rnn": self.rnn, "lstm": self.lstm, "gru": self.gru}[cell]


# i f g o: input, forget, candidate, output. r z n: reset, update, candidate.
LAYOUTS = {
    "pytorch": Layout(transposed=False, lstm="ifgo", gru="rzn"),  # torch.nn.LSTM, torch.nn.GRU: "Variables"
    "keras": Layout(transposed=True, lstm="ifgo", gru="zrn"),  # keras.layers.LSTM ("ifco"), GRU ("zrh")
    "onnx": Layout(transposed=False, lstm="iofg", gru="zrn"),  # operators LSTM ("iofc"), GRU ("zrh"), RNN
    "cs231n": Layout(transposed=True, lstm="ifog", gru=None),  # Stanford CS231n, assignment 3, rnn_layers.py
}

CELLS = ("rnn", "lstm", "gru")


def convert(cell: str, source: str, target: str, W_ih: Array, W_hh: Array, *biases: Array) -> tuple[Array, ...]:
    """One layer's weights from layout `source` to layout `target`, as new arrays: W_ih, W_hh and each bias.

    cell: "rnn", "lstm" or "gru". Layouts: "pytorch", "keras", "onnx", "cs231n" (which has no GRU).
    Raises ValueError for an unknown name and for a shape that doesn't fit.
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
    order = LAYOUTS[name].order(cell)
    if order is None:
        raise ValueError(f"{argument} is {name!r}, which has no {cell}")
    return LAYOUTS[name], order


def _check_shapes(gates: int, transposed: bool, W_ih: Array, W_hh: Array, biases: tuple[Array, ...]) -> None:
    recurrent, across = W_hh.shape[:: -1 if transposed else 1] if W_hh.ndim == 2 else (0, 1)
    if recurrent != gates * across:
        wanted = f"(H, {gates}H)" if transposed else f"({gates}H, H)"
        raise ValueError(f"W_hh has shape {W_hh.shape}, expected {wanted}")
    if W_ih.ndim != 2 or W_ih.shape[1 if transposed else 0] != recurrent:
        wanted = f"(I, {recurrent})" if transposed else f"({recurrent}, I)"
        raise ValueError(f"W_ih has shape {W_ih.shape}, expected {wanted} to go with W_hh of shape {W_hh.shape}")
    for k, b in enumerate(biases):
        if b.shape != (recurrent,):
            raise ValueError(f"bias {k + 1} has shape {b.shape}, expected ({recurrent},)")
