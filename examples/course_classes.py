"""An RNN and an LSTM as students of a course write them, on this engine: plain layers, called word by word.

    rnn = SimpleRNN(input_size, 256, output_size)
    hidden = rnn.init_hidden(32)
    for word in sentence:               # word (32, input_size)
        out, hidden = rnn(word, hidden)

The engine derives the backward passes. `python examples/course_classes.py` trains both for a few steps on sentences
whose meaning depends on the order of the words, checks their gradients, and shows that they equal `nn.RNN` and
`nn.LSTM`, whose backward passes are written by hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn import Tensor, nn, no_grad, optim

Array = Any


class SimpleRNN(nn.Module):
    """hidden = tanh(W [input, hidden] + b), out = V hidden + c; word (B, input_size), hidden (B, hidden_size)."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int, **options: Any) -> None:
        self.hidden_size = hidden_size
        self.to_hidden = nn.Linear(input_size + hidden_size, hidden_size, **options)
        self.to_output = nn.Linear(hidden_size, output_size, **options)

    def forward(self, word: Array, hidden: Array) -> tuple[Tensor, Tensor]:
        combined = np.concatenate([word, hidden], axis=1)
        hidden = np.tanh(self.to_hidden(combined))
        return self.to_output(hidden), hidden

    def init_hidden(self, batch_size: int) -> Array:
        return np.zeros((batch_size, self.hidden_size), self.to_hidden.weight.dtype)


class LSTM(nn.Module):
    """Four gates, each a layer over [input, hidden]: `out, hidden, cell = lstm(word, hidden, cell)`.

    The new cell state is a part of the old one plus a part of the candidate. The hidden state shows a part of it.
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int, **options: Any) -> None:
        self.hidden_size = hidden_size
        self.forget = nn.Linear(input_size + hidden_size, hidden_size, **options)
        self.input = nn.Linear(input_size + hidden_size, hidden_size, **options)
        self.candidate = nn.Linear(input_size + hidden_size, hidden_size, **options)
        self.output = nn.Linear(input_size + hidden_size, hidden_size, **options)
        self.to_output = nn.Linear(hidden_size, output_size, **options)

    def forward(self, word: Array, hidden: Array, cell: Array) -> tuple[Tensor, Tensor, Tensor]:
        combined = np.concatenate([word, hidden], axis=1)
        f = nn.sigmoid(self.forget(combined))
        i = nn.sigmoid(self.input(combined))
        g = np.tanh(self.candidate(combined))
        o = nn.sigmoid(self.output(combined))
        cell = f * cell + i * g
        hidden = o * np.tanh(cell)
        return self.to_output(hidden), hidden, cell

    def init_hidden(self, batch_size: int) -> tuple[Array, Array]:
        zeros = np.zeros((batch_size, self.hidden_size), self.forget.weight.dtype)
        return zeros, zeros


# ------------------------------------------------------------------------------------------------ the task

WORDS = ["dog", "man", "bites", "sees", "the", "a"]


def sentences(batch: int, rng: np.random.Generator, dtype: Any = np.float32) -> tuple[Array, Array]:
    """Return one-hot words (5, batch, 6) and answers (batch,) for sentences such as "the dog bites a man".

    The answer says who acts: 0 is the dog, 1 the man. For each sentence there is one with the same words and the other
    answer.
    """
    who = rng.integers(0, 2, batch)
    verb = rng.integers(2, 4, batch)
    articles = rng.integers(4, 6, (2, batch))
    ids = np.stack([articles[0], who, verb, articles[1], 1 - who])
    return np.eye(len(WORDS), dtype=dtype)[ids], who


def answer(model: SimpleRNN | LSTM, sentence: Array) -> Tensor:
    """Return the output after the last word: logits (batch, output_size)."""
    if isinstance(model, SimpleRNN):
        hidden = model.init_hidden(sentence.shape[1])
        for word in sentence:
            out, hidden = model(word, hidden)
    else:
        hidden, cell = model.init_hidden(sentence.shape[1])
        for word in sentence:
            out, hidden, cell = model(word, hidden, cell)
    return out


def train(model: SimpleRNN | LSTM, steps: int, seed: int) -> list[float]:
    """Train with Adam and the gradient norm clipped at 5. Return the loss before each step, in nats."""
    rng = np.random.default_rng(seed)
    optimizer = optim.Adam(model.parameters(), 0.003)
    losses = []
    for _ in range(steps):
        sentence, who = sentences(32, rng)
        loss = nn.cross_entropy(answer(model, sentence), who)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


# ------------------------------------------------------------------------------------------- comparison with nn


def as_recurrent(model: SimpleRNN | LSTM) -> nn.RNN | nn.LSTM:
    """Return an nn.RNN or nn.LSTM with the model's weights.

    The weight of a layer over [input, hidden] consists of weight_ih and weight_hh, next to each other. Its bias is
    bias_ih, and bias_hh is 0. The four gates are stacked in the order i, f, g, o.
    """
    layers = gates(model)
    weight = np.concatenate([layer.weight.data for layer in layers])
    inputs = weight.shape[1] - model.hidden_size
    kind = nn.RNN if isinstance(model, SimpleRNN) else nn.LSTM
    recurrent = kind(inputs, model.hidden_size, dtype=weight.dtype)
    bias = np.concatenate([layer.bias.data for layer in layers])
    recurrent.load_state_dict(
        {
            "weight_ih_l0": weight[:, :inputs],
            "weight_hh_l0": weight[:, inputs:],
            "bias_ih_l0": bias,
            "bias_hh_l0": np.zeros_like(bias),
        }
    )
    return recurrent


def gates(model: SimpleRNN | LSTM) -> list[nn.Linear]:
    """Return the layers that compute the next state, in the order of the gates in nn."""
    if isinstance(model, SimpleRNN):
        return [model.to_hidden]
    return [model.input, model.forget, model.candidate, model.output]


def largest_difference(model: SimpleRNN | LSTM, sentence: Array, rng: np.random.Generator) -> float:
    """Return the largest difference in hidden states and gradients between the model and the same layer of nn."""
    recurrent = as_recurrent(model)
    x, y = Tensor(sentence, requires_grad=True), Tensor(sentence, requires_grad=True)
    hiddens = every_hidden(model, x)
    out, _ = recurrent(y)
    upstream = rng.standard_normal(out.shape).astype(out.dtype)
    model.zero_grad()
    hiddens.backward(upstream)
    out.backward(upstream)
    layers = gates(model)
    weight = np.concatenate([layer.weight.grad for layer in layers])
    bias = np.concatenate([layer.bias.grad for layer in layers])
    inputs = sentence.shape[2]
    pairs = [
        (hiddens.data, out.data),
        (x.grad, y.grad),
        (weight[:, :inputs], recurrent.weight_ih_l0.grad),
        (weight[:, inputs:], recurrent.weight_hh_l0.grad),
        (bias, recurrent.bias_ih_l0.grad),
        (bias, recurrent.bias_hh_l0.grad),
    ]
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def every_hidden(model: SimpleRNN | LSTM, sentence: Tensor) -> Tensor:
    """Return the hidden state after each word: (words, batch, hidden_size)."""
    start = model.init_hidden(sentence.shape[1])
    state = start if isinstance(start, tuple) else (start,)
    hiddens = []
    for word in sentence:
        _, *state = model(word, *state)
        hiddens.append(state[0])
    return np.stack(hiddens)


def gradient_error(model: SimpleRNN | LSTM, sentence: Array, who: Array, rng: np.random.Generator) -> float:
    """Return the relative error of the gradient along a random direction, against (loss(p + h) - loss(p - h)) / 2h."""
    model.zero_grad()
    nn.cross_entropy(answer(model, sentence), who).backward()
    directions = [rng.standard_normal(p.shape) for p in model.parameters()]
    along = sum(float((p.grad * d).sum()) for p, d in zip(model.parameters(), directions, strict=True))
    start, step, losses = model.state_dict(), 1e-6, []
    for sign in (1, -1):
        for p, d in zip(model.parameters(), directions, strict=True):
            p.data += sign * step * d
        with no_grad():
            losses.append(nn.cross_entropy(answer(model, sentence), who).item())
        model.load_state_dict(start)
    difference = (losses[0] - losses[1]) / (2 * step)
    return abs(along - difference) / max(abs(along), abs(difference))


def main() -> None:
    for kind, peer in ((SimpleRNN, "nn.RNN"), (LSTM, "nn.LSTM")):
        rng = np.random.default_rng(1)
        model = kind(len(WORDS), 256, 2, dtype=np.float64, rng=rng)
        sentence, who = sentences(4, rng, np.float64)
        error = gradient_error(model, sentence, who, rng)
        largest = largest_difference(model, sentence, rng)
        losses = train(model.to(np.float32), 20, seed=2)
        print(f"{kind.__name__} of 256 hidden units")
        print(f"  gradient against finite differences, float64: relative error {error:.1e}")
        print(f"  outputs and all gradients against {peer}, float64: largest difference {largest:.1e}")
        print("  loss in nats at every fourth step: " + " ".join(f"{x:.3f}" for x in losses[::4]))


if __name__ == "__main__":
    main()
