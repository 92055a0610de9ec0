"""The plain loop over the gates: the sequences and steps that a record is compared with.

The loop is deliberately slow and simple. It has no buffers and no products over several steps, and a batch with
lengths is, by definition, its sequences computed one by one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn_kernels.cell import CELLS, Cell
from minirnn_kernels.gates import EQUATIONS, Equations
from minirnn_kernels.proof.comparison import Array, Arrays
from minirnn_kernels.proof.rounding import Exact


@dataclass(frozen=True, eq=False)
class CellVariant:
    """A cell with fixed options."""

    cell: Cell
    nonlinearity: str | None = None

    @property
    def name(self) -> str:
        """The name in messages: the cell, and its nonlinearity where it has one."""
        return self.cell.name + (f"-{self.nonlinearity}" if self.nonlinearity else "")

    @property
    def options(self) -> dict[str, str]:
        """The keyword arguments of the functions in a record."""
        return {"nonlinearity": self.nonlinearity} if self.nonlinearity else {}

    @property
    def equations(self) -> Equations:
        """The gates of the cell."""
        return EQUATIONS[self.cell.name]


VARIANTS = {
    variant.name: variant
    for cell in CELLS.values()
    for variant in (CellVariant(cell, nonlinearity) for nonlinearity in cell.nonlinearities or (None,))
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
    unit_weights = [inputs[name] for name in cell.unit_weights]
    made, _ = variant.equations.forward(x @ W_ih.T + b_ih, h @ W_hh.T + b_hh, *states, *unit_weights, **variant.options)
    return {f"{s}'": rounds.stored(a) for s, a in zip(cell.states, made, strict=True)}


def _two_biases(cell: Cell, inputs: Arrays) -> tuple[Array, Array]:
    """Return a bias for each product; the second is zero where the cell has only one."""
    b_ih = inputs[cell.biases[0]]
    return b_ih, inputs[cell.biases[1]] if cell.two_biases else np.zeros_like(b_ih)


def _loop(variant: CellVariant, inputs: Arrays, upstream: Arrays, rounds: Exact) -> Arrays:
    cell, equations, options = variant.cell, variant.equations, variant.options
    x, W_ih, W_hh = (rounds.factor(inputs[name]) for name in ("x", "W_ih", "W_hh"))
    b_ih, b_hh = _two_biases(cell, inputs)
    unit_weights = [inputs[name] for name in cell.unit_weights]
    states = [inputs[f"{s}0"] for s in cell.states]
    steps, out = [], []
    for x_t in x:
        h = rounds.factor(states[0])
        a_ih, a_hh = x_t @ W_ih.T + b_ih, h @ W_hh.T + b_hh
        states, cache = equations.forward(a_ih, a_hh, *states, *unit_weights, **options)
        states[0] = rounds.stored(states[0])
        steps.append((x_t, h, cache))
        out.append(states[0])

    dstates = [upstream[f"d{s}_n"] for s in cell.states]
    dx: list[Array] = []
    dW_ih, dW_hh, db_ih, db_hh, *dunits = (np.zeros_like(p) for p in (W_ih, W_hh, b_ih, b_hh, *unit_weights))
    for (x_t, h, cache), h_next, dout_t in zip(reversed(steps), reversed(out), upstream["dout"][::-1], strict=True):
        dstates[0] = dstates[0] + dout_t
        da_ih, da_hh, past_the_products, dunit_rows = equations.backward(h_next, cache, *dstates, **options)
        dunits = [d + rows.sum(axis=0) for d, rows in zip(dunits, dunit_rows, strict=True)]
        da_ih, da_hh = rounds.stored(da_ih), rounds.stored(da_hh)
        db_ih, db_hh = db_ih + da_ih.sum(axis=0), db_hh + da_hh.sum(axis=0)
        da_ih, da_hh = rounds.factor(da_ih), rounds.factor(da_hh)
        dstates = [past_the_products[0] + da_hh @ W_hh, *past_the_products[1:]]
        dx.insert(0, da_ih @ W_ih)
        dW_ih, dW_hh = dW_ih + da_ih.T @ x_t, dW_hh + da_hh.T @ h

    results = {"dx": np.stack(dx), "dW_ih": dW_ih, "dW_hh": dW_hh}
    results |= {f"d{s}0": a for s, a in zip(cell.states, dstates, strict=True)}
    results |= {f"d{name}": db for name, db in zip(cell.biases, (db_ih, db_hh), strict=False)}
    results |= {f"d{name}": d for name, d in zip(cell.unit_weights, dunits, strict=True)}
    results |= {f"{s}_n": a for s, a in zip(cell.states[1:], states[1:], strict=True)}
    return {name: rounds.stored(a) for name, a in results.items()} | {"out": np.stack(out), "h_n": states[0]}
