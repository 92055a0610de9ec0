"""PyTorch, compiled: `torch.compile` leaves `torch.nn.LSTM` and its like as they are, so here one step is compiled.

The input's product is hoisted out of the loop over time, as a user would write it who wants it fast. Compilation takes
10 to 30 seconds for each size and needs a C++ compiler, which is why this peer takes part only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minirnn.bench.peers import Contender, Missing, library
from minirnn.bench.problems import STATES, Array, Problem

__all__ = ["contender"]


def contender(problem: Problem) -> Contender:
    """A compiled step in a loop; `Missing` for sequences with lengths."""
    if problem.lengths is not None:
        raise Missing("torch compiled: no form with lengths is measured")
    torch = library("torch")
    step = torch.compile(_step(torch, problem.cell))
    leaves = [torch.tensor(a, requires_grad=problem.what != "inference") for a in problem.arguments]
    dout, states = torch.from_numpy(problem.arrays["dout"]), len(STATES[problem.cell])

    def forward() -> Any:
        x, *rest = leaves
        carry, (W_ih, W_hh, b_ih, *b_hh) = tuple(rest[:states]), rest[states:]
        out = []
        for a in torch.nn.functional.linear(x, W_ih, b_ih).unbind(0):
            carry = step(a, W_hh, *b_hh, *carry)
            out.append(carry[0])
        return [torch.stack(out), *carry]

    def inference() -> Any:
        with torch.inference_mode():
            return forward()

    def train() -> Any:
        made = forward()
        return [*made, *torch.autograd.grad(made[0], leaves, dout)]

    names = ["out", *(f"{s}_n" for s in STATES[problem.cell]), *(f"d{name}" for name in problem.inputs)]

    def results(made: Any) -> dict[str, Array]:
        return {name: a.detach().numpy() for name, a in zip(names, made, strict=False)}

    run = train if problem.trains else inference if problem.what == "inference" else forward
    return Contender("torch compiled", run, results)


def _step(torch: Any, cell: str) -> Callable[..., tuple[Any, ...]]:
    """(pre-activations of the input's side, W_hh, (b_hh), states) -> the next states."""
    linear = torch.nn.functional.linear

    def rnn(a: Any, W_hh: Any, h: Any) -> tuple[Any, ...]:
        return (torch.tanh(a + linear(h, W_hh)),)

    def lstm(a: Any, W_hh: Any, h: Any, c: Any) -> tuple[Any, ...]:
        i, f, g, o = (a + linear(h, W_hh)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def gru(a: Any, W_hh: Any, b_hh: Any, h: Any) -> tuple[Any, ...]:
        r, z, n = a.chunk(3, -1)
        r_h, z_h, n_h = linear(h, W_hh, b_hh).chunk(3, -1)
        n = torch.tanh(n + torch.sigmoid(r + r_h) * n_h)
        return (n + torch.sigmoid(z + z_h) * (h - n),)

    steps: dict[str, Callable[..., tuple[Any, ...]]] = {"rnn": rnn, "lstm": lstm, "gru": gru}
    return steps[cell]
