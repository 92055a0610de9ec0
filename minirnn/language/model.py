"""A recurrent language model: embedding, RNN, LSTM or GRU, dropout, and a linear layer that scores the next token."""

from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn import nn
from minirnn.autograd import Tensor, devices
from minirnn.nn import LAYERS
from minirnn.recurrent.state import State, from_arrays, step_states, to_arrays

__all__ = ["LAYERS", "LanguageModel", "from_arrays", "step_states", "to_arrays"]

StepStates = list[tuple[np.ndarray, ...]]  # for each layer h, or h and c, (B, H)


class LanguageModel(nn.Module):
    """Scores for the next token at each step: ids (T, B) -> logits (T, B, vocab_size).

    `cell` is "rnn" (tanh), "lstm" or "gru". Dropout acts on the inputs of each recurrent layer and of the linear layer,
    not on the recurrent connections (Zaremba et al. 2014, arXiv:1409.2329). The embedded ids get a third of the rate,
    because no other input carries the ids. After the embedding and before the linear layer, the same units are
    dropped at all steps of a call (`nn.LockedDropout`). The generator of `minirnn.random` draws the weights, in the
    order embedding, recurrent, linear. The ids can be on the host wherever the model is; states and logits are on the
    model's device.
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
        if cell not in LAYERS:
            raise ValueError(f"cell must be one of {', '.join(LAYERS)}, got {cell!r}")
        self.vocab_size = vocab_size
        self.embedding = nn.Embedding(vocab_size, embedding, dtype=dtype)
        self.embedding_dropout = nn.LockedDropout(dropout / 3)
        between = dropout if layers > 1 else 0.0
        self.rnn = LAYERS[cell](embedding, hidden, layers, dropout=between, dtype=dtype)
        self.dropout = nn.LockedDropout(dropout)
        self.linear = nn.Linear(hidden, vocab_size, dtype=dtype)

    def forward(self, ids: npt.NDArray[np.integer[Any]], state: State = None) -> tuple[Tensor, State]:
        """Map ids (T, B) ints and the previous call's state (None: zeros) to logits (T, B, vocab_size) and a state."""
        out, state = self.rnn(self.embedding_dropout(self.embedding(ids)), state)
        return self.linear(self.dropout(out)), state

    def step(self, ids: npt.NDArray[np.integer[Any]], states: StepStates) -> tuple[npt.NDArray[Any], StepStates]:
        """Compute `forward` for one time step on plain arrays: ids (B,) -> logits (B, vocab_size), states.

        states: for each layer its h, or h and c, (B, hidden); `step_states` converts a state to this form. There is no
        dropout, no graph and no check of the ids.
        """
        table = self.embedding.weight.data
        out, states = self.rnn.step(table.take(devices.like(ids, table), axis=0), states)
        logits = out @ self.linear.weight.data.T
        if self.linear.bias is not None:
            logits += self.linear.bias.data
        return logits, states
