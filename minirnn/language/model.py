"""A recurrent language model: embedding, RNN, LSTM or GRU, dropout, and a linear layer that scores the next token."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn import nn
from minirnn.autograd import Tensor, devices

__all__ = ["CELLS", "LanguageModel", "from_arrays", "step_states", "to_arrays"]

CELLS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}

Steps = list[tuple[np.ndarray, ...]]  # for each layer h, or h and c, (B, H)
State = Any  # h (layers, B, H), or (h, c) for an LSTM; Tensors or arrays; None is zeros


class LanguageModel(nn.Module):
    """Scores for the next token at each step: ids (T, B) -> logits (T, B, vocab_size).

    `cell` is "rnn" (tanh), "lstm" or "gru". Dropout, where > 0, acts on what goes into each recurrent layer and the
    linear one, not on what a layer says to itself (Zaremba et al. 2014, arXiv:1409.2329); on the embedded ids at a
    third of the rate, since nothing else tells which id came. There and before the linear layer the same units are
    dropped at all steps of a call (`nn.LockedDropout`). Weights are drawn from the generator of `minirnn.random`,
    in the order embedding, recurrent, linear.
    Ids may be on the host wherever the model is; states and logits are where it is.
    """

    def __init__(
        self,
        vocab_size: int,
        cell: str = "lstm",
        hidden: int = 256,
        layers: int = 1,
        embedding: int = 64,
        dropout: float = 0.0,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(CELLS)}, got {cell!r}")
        self.vocab_size = vocab_size
        self.embedding = nn.Embedding(vocab_size, embedding, dtype=dtype)
        self.embedding_dropout = nn.LockedDropout(dropout / 3)
        between = dropout if layers > 1 else 0.0
        self.rnn = CELLS[cell](embedding, hidden, layers, dropout=between, dtype=dtype)
        self.dropout = nn.LockedDropout(dropout)
        self.linear = nn.Linear(hidden, vocab_size, dtype=dtype)

    def forward(self, ids: npt.NDArray[np.integer[Any]], state: State = None) -> tuple[Tensor, State]:
        """ids (T, B) ints, state as returned by the call before (None: zeros) -> logits (T, B, vocab_size), state."""
        out, state = self.rnn(self.embedding_dropout(self.embedding(ids)), state)
        return self.linear(self.dropout(out)), state

    def step(self, ids: npt.NDArray[np.integer[Any]], states: Steps) -> tuple[npt.NDArray[Any], Steps]:
        """`forward` of one time step, as inference on plain arrays: ids (B,) -> logits (B, vocab_size), states.

        states: for each layer its h, or h and c, (B, hidden); `step_states` makes them of a state. Neither dropout nor
        a check of the ids.
        """
        table = self.embedding.weight.data
        out, states = self.rnn.step(table.take(devices.like(ids, table), axis=0), states)
        logits = out @ self.linear.weight.data.T
        if self.linear.bias is not None:
            logits += self.linear.bias.data
        return logits, states


def step_states(arrays: list[np.ndarray]) -> Steps:
    """A state as `to_arrays` has it, (layers, B, H) each, layer by layer: as `LanguageModel.step` takes it."""
    return list(zip(*arrays, strict=True))


def to_arrays(state: State) -> list[np.ndarray]:
    """The arrays of a state that the model returned, [h] or [h, c], without their graph: here backpropagation stops."""
    return [part.data for part in (state if isinstance(state, tuple) else (state,))]


def from_arrays(arrays: list[np.ndarray] | None) -> State:
    """The state to give to the model again; None stays None (zeros)."""
    return arrays if arrays is None else tuple(arrays) if len(arrays) > 1 else arrays[0]
