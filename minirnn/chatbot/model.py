"""The network of the chatbot: an encoder of the whole conversation, a decoder of replies, attention and copying.

The encoder is a recurrent network that reads all words of the conversation in order, the user's and the bot's. A
second, smaller encoder reads each utterance separately in both directions, so that its output for a word depends on the
words before and after it. The concatenation of both outputs is the memory m_k of word k. The decoder, an LSTM, begins
with the encoder's state at the end of the user's turn. For each word of the reply (state d) it computes

    weights a  = softmax_k(score(d, m_k) - r(d) · log(1 + utterances since word k) + s · [word k - 1 was just said])
    context    = Σ_k a_k m_k
    vocabulary = softmax(V tanh(C [d, context]))
    g          = σ(G [d, context])
    p(word)    = g · vocabulary[word] + (1 - g) · Σ_{k: word k is this word} a_k     a mixture: generate or copy

so the bot can copy a word that is not in the vocabulary from earlier in the conversation. r(d) = R d + r₀ is the weight
of recency for the next word; s favours the word after the one just copied. Sources: attention, Bahdanau, Cho
and Bengio 2015, and Luong, Pham and Manning 2015; the mixture, See, Liu and Manning 2017, equations 8 and 9.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn import nn
from minirnn.autograd import Tensor
from minirnn.language import LAYERS
from minirnn_kernels.cell import CELLS

__all__ = ["ATTENTIONS", "Batch", "ConversationModel", "copied_or_said"]

ATTENTIONS = ("dot", "additive", "none")
LONGEST_MEMORY = 150  # words; the encoder's units begin with memories of up to this length
TINY = 1e-12  # added to a probability before its logarithm
Array = Any
Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Batch:
    """B conversations of K turns and at most T words. A reply has at most D words, all replies together Q words."""

    # The encoders' inputs
    ids: Ints  # (T, B)
    utterance: Ints  # (T, B): the number of the word's utterance
    places: Ints  # (L, M): for each of M utterances, the flat indices t * B + b of its words
    lengths: Ints  # (M,): words per utterance
    # The decoder's inputs
    starts: Ints  # (B, K): the index t of the mark that ends the user's turn; the decoder attends to words up to it
    previous: Ints  # (D, B, K): the words that the decoder reads
    sizes: Ints  # (B, K): the number of these words
    # The words to predict, reply after reply
    turn: Ints  # (B, Q): the turn of the reply
    step: Ints  # (B, Q): the index of the word in its reply
    targets: Ints  # (B, Q): ids; -1 is padding
    said: npt.NDArray[np.bool_]  # (B, Q): False if the target is not in the vocabulary
    same: npt.NDArray[np.bool_]  # (B, Q, T): True if this word of the conversation is the target
    follows: npt.NDArray[np.bool_]  # (B, Q, T): True if the word before this one is the word just said


def copied_or_said(gate: Array, said: Array, copied: Array) -> Any:
    """Return -log of the mixture g · said + (1 - g) · copied of two probabilities, with g = sigmoid(gate)."""
    g = nn.sigmoid(gate)
    return -np.log(g * said + (1.0 - g) * copied + TINY)


class ConversationModel(nn.Module):
    """The network that the module's docstring describes.

    attention: "dot", "additive" or "none"; without attention the network does not copy.
    cell: the cell of the encoders. The units of an LSTM or GRU begin with long memories (`nn.init.chrono_`).
    The generator of `minirnn.random` draws the weights.
    """

    def __init__(
        self,
        vocab_size: int,
        cell: str = "lstm",
        hidden: int = 128,
        attention: str = "dot",
        embedding: int = 64,
        dropout: float = 0.0,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if cell not in LAYERS:
            raise ValueError(f"cell must be one of {', '.join(LAYERS)}, got {cell!r}")
        if attention not in ATTENTIONS:
            raise ValueError(f"attention must be one of {', '.join(ATTENTIONS)}, got {attention!r}")
        self.settings = {
            "cell": cell, "hidden": hidden, "attention": attention, "embedding": embedding, "dropout": dropout
        }  # fmt: skip
        self.vocab_size, self.hidden, self.attends = vocab_size, hidden, attention != "none"
        self.embedding = nn.Embedding(vocab_size, embedding, dtype=dtype)
        self.dropout = nn.Dropout(dropout)
        self.encoder = LAYERS[cell](embedding, hidden, dtype=dtype)
        if cell != "rnn":
            nn.init.chrono_(self.encoder, LONGEST_MEMORY)
        self.states = len(CELLS[cell].states)
        self.bridge = nn.Linear(hidden, 2 * hidden, dtype=dtype)
        self.decoder = nn.LSTM(embedding, hidden, dtype=dtype)
        seen = hidden
        if self.attends:
            half = hidden // 2
            self.utterances = LAYERS[cell](embedding, half, bidirectional=True, dtype=dtype)
            memory = hidden + 2 * half
            self.attention: Any = (
                nn.DotAttention(hidden, memory, dtype=dtype)
                if attention == "dot"
                else nn.AdditiveAttention(hidden, memory, half, dtype=dtype)
            )
            self.recency = nn.Linear(hidden, 1, dtype=dtype)
            self.follow = nn.Parameter(np.ones(1, dtype))
            self.gate = nn.Linear(hidden + memory, 1, dtype=dtype)
            seen += memory
        self.combine = nn.Linear(seen, hidden, dtype=dtype)
        self.output = nn.Linear(hidden, vocab_size, dtype=dtype)

    def forward(self, batch: Batch) -> Tensor:
        """Return -log p in nats for every word of every reply: (N,), in the order of `batch.targets`."""
        B, K = batch.starts.shape
        rows = np.arange(B)[:, None]
        words = self.dropout(self.embedding(batch.ids))
        heard: Any = self.encoder(words)[0]
        decoded = self.decode(heard[batch.starts, rows], batch.previous, batch.sizes.reshape(-1))
        answers: Any = decoded[batch.step, rows * K + batch.turn]
        asked = np.nonzero(batch.targets >= 0)
        copied: Any = None
        if self.attends:
            visible, age = _visible(batch)
            bias = self.bias(answers, age, batch.follows)
            context, weights = self.attention(answers, self.memory(words, heard, batch), visible, bias)
            copied = (weights * batch.same).sum(axis=2)[asked]
            answers = np.concatenate([answers, context], axis=2)
        answers = answers[asked]
        losses = nn.cross_entropy(self.scores(answers), batch.targets[asked], reduction="none")
        if self.attends:
            losses = copied_or_said(self.gate(answers)[:, 0], np.exp(-losses) * batch.said[asked], copied)
        return losses

    def memory(self, words: Tensor, heard: Tensor, batch: Batch) -> Tensor:
        """Return the memory for attention: both encoders' outputs for each word, (B, T, M)."""
        T, B, E = words.shape
        flat = words.reshape(T * B, E)
        alone: Any = self.utterances(flat[batch.places], lengths=batch.lengths)[0]
        steps, rows = np.nonzero(np.arange(len(batch.places))[:, None] < batch.lengths)
        found = np.zeros((2, T * B), np.int64)
        found[:, batch.places[steps, rows]] = steps, rows
        memory: Any = np.concatenate([heard, alone[found[0].reshape(T, B), found[1].reshape(T, B)]], axis=2)
        return memory.transpose(1, 0, 2)

    def bias(self, queries: Array, age: Array, follows: Array) -> Tensor:
        """Return the bias (B, Q, T) that is added to the attention's scores.

        queries: (B, Q, H). age: the utterances since each word. follows: whether a word follows the one just said.
        """
        dtype = self.follow.dtype
        bias: Any = self.follow * follows.astype(dtype) - self.recency(queries) * np.log1p(age).astype(dtype)
        return bias

    def decode(self, heard: Tensor, previous: Ints, lengths: Ints) -> Tensor:
        """Return the decoder's outputs (D, B * K, H) for words (D, B, K) and encoder outputs `heard` (B, K, H)."""
        states = tuple(state[None] for state in self.begin(heard.reshape(-1, self.hidden)))
        inputs = self.dropout(self.embedding(previous.reshape(len(previous), -1)))
        out, _ = self.decoder(inputs, states, lengths=lengths)
        return out

    def begin(self, heard: Array) -> tuple[Tensor, ...]:
        """Return the decoder's initial h and c, (N, H) each, for the encoder's output (N, H)."""
        state = np.tanh(self.bridge(heard))
        return state[:, : self.hidden], state[:, self.hidden :]

    def scores(self, rows: Tensor) -> Tensor:
        """Return the vocabulary's scores (N, V) for the decoder's outputs, with their contexts if it has attention."""
        return self.output(self.dropout(np.tanh(self.combine(rows))))


def _visible(batch: Batch) -> tuple[Array, Array]:
    """Return which words are visible to each word to predict, and their age in utterances, (B, Q, T) each."""
    starts = np.take_along_axis(batch.starts, batch.turn, axis=1)
    visible = np.arange(len(batch.ids)) <= starts[:, :, None]
    now = np.take_along_axis(batch.utterance.T, starts, axis=1)[:, :, None]
    return visible, np.maximum(now - batch.utterance.T[:, None], 0)
