"""The plain loop over the gates: the sequences and steps that a record is compared with.

The loop is deliberately slow and simple. It has no buffers and no products over several steps, and a batch with
lengths is, by definition, its sequences computed one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn_kernels.cell import GRU, LSTM, RNN, Cell
from minirnn_kernels.gates import (
    gru_gates,
    gru_gates_backward,
    lstm_gates,
    lstm_gates_backward,
    rnn_gates,
    rnn_gates_backward,
)
from minirnn_kernels.proof.comparison import Array, Arrays
from minirnn_kernels.proof.rounding import Exact


@dataclass(frozen=True, eq=False)
class CellVariant:
    """A cell with fixed options, and its gates in a form that is common to all cells."""

    cell: Cell
    # (a_ih, a_hh, *states) -> the next states, cache
    forward: Callable[..., tuple[list[Array], Any]]
    # (the next h as it was stored, cache, *gradients of the next states)
    # -> da_ih, da_hh, the parts of the states' gradients that bypass the products
    backward: Callable[..., tuple[Array, Array, list[Array]]]
    nonlinearity: str | None = None

    @property
    def name(self) -> str:
        """The name in messages: the cell, and its nonlinearity where it has one."""
        return self.cell.name + (f"-{self.nonlinearity}" if self.nonlinearity else "")

    @property
    def options(self) -> dict[str, str]:
        """The keyword arguments of the functions in a record."""
        return {"nonlinearity": self.nonlinearity} if self.nonlinearity else {}


def _rnn(nonlinearity: str) -> CellVariant:
    def forward(a_ih: Array, a_hh: Array, h: Array) -> tuple[list[Array], Any]:
        return [rnn_gates(a_ih + a_hh, nonlinearity)], None

    def backward(h: Array, cache: Any, dh: Array) -> tuple[Array, Array, list[Array]]:
        da = rnn_gates_backward(dh, h, nonlinearity)
        return da, da, [np.zeros_like(dh)]

    return CellVariant(RNN, forward, backward, nonlinearity)


def _lstm_forward(a_ih: Array, a_hh: Array, h: Array, c: Array) -> tuple[list[Array], Any]:
    h, c, cache = lstm_gates(a_ih + a_hh, c)
    return [h, c], cache


def _lstm_backward(h: Array, cache: Any, dh: Array, dc: Array) -> tuple[Array, Array, list[Array]]:
    da, dc = lstm_gates_backward(dh, dc, cache)
    return da, da, [np.zeros_like(dh), dc]


def _gru_forward(a_ih: Array, a_hh: Array, h: Array) -> tuple[list[Array], Any]:
    h, cache = gru_gates(a_ih, a_hh, h)
    return [h], cache


def _gru_backward(h: Array, cache: Any, dh: Array) -> tuple[Array, Array, list[Array]]:
    da_ih, da_hh, dh = gru_gates_backward(dh, cache)
    return da_ih, da_hh, [dh]


VARIANTS = {
    variant.name: variant
    for variant in (
        *map(_rnn, RNN.nonlinearities),
        CellVariant(LSTM, _lstm_forward, _lstm_backward),
        CellVariant(GRU, _gru_forward, _gru_backward),
    )
}


def reference(
    variant: CellVariant,
    inputs: Arrays,
    upstream: Arrays,
    lengths: Array | None = None,
    rounds: Exact = Exact(),  # noqa: B008 (it has no state)
) -> Arrays:
    """Return all results and gradients of a batch: {"out", "h_n", ..., "dx", "dh0", ..., "db"}.

    inputs: the arrays named in `cell.inputs`. upstream: the gradients "dout", "dh_n", ... of `cell.results`.
    rounds: the roundings to apply.
    """
    if lengths is None:
        return _loop(variant, inputs, upstream, rounds)
    cell = variant.cell
    total = {f"d{name}": np.zeros_like(inputs[name]) for name in cell.inputs}
    total |= {name: np.zeros_like(upstream[f"d{name}"]) for name in cell.results}
    for b, length in enumerate(lengths):
        here: dict[str, Any] = {"x": np.s_[:length, b : b + 1], "out": np.s_[:length, b : b + 1]}
        here |= {name: np.s_[b : b + 1] for s in cell.states for name in (f"{s}0", f"{s}_n")}
        one = _loop(
            variant,
            {name: a[here.get(name, ...)] for name, a in inputs.items()},
            {name: a[here[name[1:]]] for name, a in upstream.items()},
            rounds,
        )
        for name, a in one.items():
            total[name][here.get(name.removeprefix("d"), ...)] += a
    return total


def one_step(variant: CellVariant, inputs: Arrays, rounds: Exact) -> Arrays:
    """Return the states after one step, {"h'", ...}; x is (B, I)."""
    cell = variant.cell
    states = [inputs[f"{s}0"] for s in cell.states]
    x, h, W_ih, W_hh = (rounds.factor(inputs[name]) for name in ("x", "h0", "W_ih", "W_hh"))
    b_ih, b_hh = _two_biases(cell, inputs)
    made, _ = variant.forward(x @ W_ih.T + b_ih, h @ W_hh.T + b_hh, *states)
    return {f"{s}'": rounds.stored(a) for s, a in zip(cell.states, made, strict=True)}


def _two_biases(cell: Cell, inputs: Arrays) -> tuple[Array, Array]:
    """Return a bias for each product; the second is zero where the cell has only one."""
    b_ih, *b_hh = (inputs[name] for name in cell.biases)
    return b_ih, b_hh[0] if b_hh else np.zeros_like(b_ih)


def _loop(variant: CellVariant, inputs: Arrays, upstream: Arrays, rounds: Exact) -> Arrays:
    cell = variant.cell
    x, W_ih, W_hh = (rounds.factor(inputs[name]) for name in ("x", "W_ih", "W_hh"))
    b_ih, b_hh = _two_biases(cell, inputs)
    states = [inputs[f"{s}0"] for s in cell.states]
    steps, out = [], []
    for x_t in x:
        h = rounds.factor(states[0])
        states, cache = variant.forward(x_t @ W_ih.T + b_ih, h @ W_hh.T + b_hh, *states)
        states[0] = rounds.stored(states[0])
        steps.append((x_t, h, cache))
        out.append(states[0])

    dstates = [upstream[f"d{s}_n"] for s in cell.states]
    dx: list[Array] = []
    dW_ih, dW_hh, db_ih, db_hh = (np.zeros_like(p) for p in (W_ih, W_hh, b_ih, b_hh))
    for (x_t, h, cache), h_next, dout_t in zip(reversed(steps), reversed(out), upstream["dout"][::-1], strict=True):
        dstates[0] = dstates[0] + dout_t
        da_ih, da_hh, past_the_products = variant.backward(h_next, cache, *dstates)
        da_ih, da_hh = rounds.stored(da_ih), rounds.stored(da_hh)
        db_ih, db_hh = db_ih + da_ih.sum(axis=0), db_hh + da_hh.sum(axis=0)
        da_ih, da_hh = rounds.factor(da_ih), rounds.factor(da_hh)
        dstates = [past_the_products[0] + da_hh @ W_hh, *past_the_products[1:]]
        dx.insert(0, da_ih @ W_ih)
        dW_ih, dW_hh = dW_ih + da_ih.T @ x_t, dW_hh + da_hh.T @ h

    results = {"dx": np.stack(dx), "dW_ih": dW_ih, "dW_hh": dW_hh}
    results |= {f"d{s}0": a for s, a in zip(cell.states, dstates, strict=True)}
    results |= {f"d{name}": db for name, db in zip(cell.biases, (db_ih, db_hh), strict=False)}
    results |= {f"{s}_n": a for s, a in zip(cell.states[1:], states[1:], strict=True)}
    return {name: rounds.stored(a) for name, a in results.items()} | {"out": np.stack(out), "h_n": states[0]}
