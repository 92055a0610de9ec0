"""The network of the chatbot: an encoder that hears the whole conversation, a decoder that answers, attention, copying.

The encoder reads every word, the user's and the bot's, one recurrent network from the first word of the conversation to
the last. A second, smaller one reads each utterance by itself in both directions, so that a word knows what stands
before it and behind it. Both outputs side by side are the memory m_k of word k. The decoder, an LSTM, begins with what
the encoder knows at the end of the user's turn, and for each word of the reply (state d)

    weights a  = softmax_k(score(d, m_k) - r(d) · log(1 + utterances since word k) + s · [word k - 1 was just said])
    context    = Σ_k a_k m_k
    vocabulary = softmax(V tanh(C [d, context]))
    g          = σ(G [d, context])
    p(word)    = g · vocabulary[word] + (1 - g) · Σ_{k: word k is this word} a_k     a mixture: say it, or copy it

so a word that stands in no vocabulary can still be said, if somebody said it before. r(d) = R d + r₀ says how much it
matters for the next word how recent things are; s lets copying go on where it is. Sources: attention, Bahdanau, Cho
and Bengio 2015, and Luong, Pham and Manning 2015; the mixture, See, Liu and Manning 2017, equations 8 and 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from minirnn import nn
from minirnn.autograd import Tensor
from minirnn.language.model import CELLS

__all__ = ["ATTENTIONS", "Batch", "ConversationModel", "copied_or_said"]

ATTENTIONS = ("dot", "additive", "none")
LONGEST = 150  # words; over so many the encoder's units remember at first
TINY = 1e-12  # a probability under which its logarithm goes no further
Array = Any
Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Batch:
    """B conversations of K turns each, of at most T words; replies of at most D words, Q in all of a conversation.

    Encoder: `ids` (T, B); `utterance` (T, B), the number of the utterance that the word is in; `places` (L, M), for
    each of M utterances the flat places (t * B + b) of its words, and `lengths` (M,).
    Decoder: `starts` (B, K), the place t of the mark that ends the user's turn, where the encoder's state is taken over
    and up to which the decoder may look; `previous` (D, B, K), the words that it is given, `sizes` (B, K) of them.
    Its answers, reply after reply, (B, Q): `turn` and `step`, where the decoder is; `targets`, ids, -1 behind the last;
    `said`, False where the target stands in no vocabulary; (B, Q, T): `same`, True where a word of the conversation is
    the target, `follows`, True where the word before it is the one just said.
    """

    ids: Ints
    utterance: Ints
    places: Ints
    lengths: Ints
    starts: Ints
    previous: Ints
    sizes: Ints
    turn: Ints
    step: Ints
    targets: Ints
    said: npt.NDArray[np.bool_]
    same: npt.NDArray[np.bool_]
    follows: npt.NDArray[np.bool_]


def copied_or_said(gate: Array, said: Array, copied: Array) -> Any:
    """The mixture g · said + (1 - g) · copied of two probabilities, as -log: gate is g before its sigmoid."""
    g = nn.sigmoid(gate)
    return -np.log(g * said + (1.0 - g) * copied + TINY)


class ConversationModel(nn.Module):
    """The module docstring has the equations. attention: "dot", "additive", or "none" (then nothing is copied either).

    `cell` is that of the encoders. The units of an LSTM or GRU there begin with long memories; an RNN has none to set.
    Weights are drawn from the generator of `minirnn.random`.
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
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(CELLS)}, got {cell!r}")
        if attention not in ATTENTIONS:
            raise ValueError(f"attention must be one of {', '.join(ATTENTIONS)}, got {attention!r}")
        self.settings = {
            "cell": cell, "hidden": hidden, "attention": attention, "embedding": embedding, "dropout": dropout
        }  # fmt: skip
        self.vocab_size, self.hidden, self.attends = vocab_size, hidden, attention != "none"
        self.embedding = nn.Embedding(vocab_size, embedding, dtype=dtype)
        self.dropout = nn.Dropout(dropout)
        self.encoder = CELLS[cell](embedding, hidden, dtype=dtype)
        if cell != "rnn":
            nn.init.chrono_(self.encoder, LONGEST)
        self.states = 2 if cell == "lstm" else 1
        self.bridge = nn.Linear(hidden, 2 * hidden, dtype=dtype)
        self.decoder = nn.LSTM(embedding, hidden, dtype=dtype)
        seen = hidden
        if self.attends:
            half = hidden // 2
            self.utterances = CELLS[cell](embedding, half, bidirectional=True, dtype=dtype)
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
        """-log p in nats of every word of every reply: (N,), in the order of `batch.targets`, those of -1 left out."""
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
        """What attention looks at: both encoders' outputs for each word, (B, T, M)."""
        T, B, E = words.shape
        flat = words.reshape(T * B, E)
        alone: Any = self.utterances(flat[batch.places], lengths=batch.lengths)[0]
        steps, rows = np.nonzero(np.arange(len(batch.places))[:, None] < batch.lengths)
        found = np.zeros((2, T * B), np.int64)
        found[:, batch.places[steps, rows]] = steps, rows
        memory: Any = np.concatenate([heard, alone[found[0].reshape(T, B), found[1].reshape(T, B)]], axis=2)
        return memory.transpose(1, 0, 2)

    def bias(self, queries: Array, age: Array, follows: Array) -> Tensor:
        """What is added to the attention's scores (B, Q, T): queries (B, Q, H); age, of each word, in utterances, and
        whether it follows the one just said, (B, Q, T)."""
        dtype = self.follow.dtype
        bias: Any = self.follow * follows.astype(dtype) - self.recency(queries) * np.log1p(age).astype(dtype)
        return bias

    def decode(self, heard: Tensor, previous: Ints, lengths: Ints) -> Tensor:
        """The decoder's outputs (D, B * K, H) for words `previous` (D, B, K), begun from `heard` (B, K, H)."""
        states = tuple(state[None] for state in self.begin(heard.reshape(-1, self.hidden)))
        inputs = self.dropout(self.embedding(previous.reshape(len(previous), -1)))
        out, _ = self.decoder(inputs, states, lengths=lengths)
        return out

    def begin(self, heard: Array) -> tuple[Tensor, ...]:
        """The decoder's first h and c, (N, H) each, from the encoder's output (N, H)."""
        state = np.tanh(self.bridge(heard))
        return state[:, : self.hidden], state[:, self.hidden :]

    def scores(self, rows: Tensor) -> Tensor:
        """The vocabulary's scores (N, V) of decoder outputs, with their contexts where there are any."""
        return self.output(self.dropout(np.tanh(self.combine(rows))))


def _visible(batch: Batch) -> tuple[Array, Array]:
    """For each answer and each word: whether it was said by then, and how many utterances ago, (B, Q, T)."""
    starts = np.take_along_axis(batch.starts, batch.turn, axis=1)
    visible = np.arange(len(batch.ids)) <= starts[:, :, None]
    now = np.take_along_axis(batch.utterance.T, starts, axis=1)[:, :, None]
    return visible, np.maximum(now - batch.utterance.T[:, None], 0)
