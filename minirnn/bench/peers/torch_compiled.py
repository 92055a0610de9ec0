"""PyTorch, compiled: `torch.compile` does not change `torch.nn.LSTM`, `GRU` and `RNN`, so one step is compiled.

The input product is moved out of the loop over time, as a user would write it for speed. Compilation takes 10 to
30 seconds for each size and needs a C++ compiler, so this peer is measured only on request. The equations in `_step`
repeat `rnn_gates`, `lstm_gates` and `gru_gates` of `minirnn_kernels/gates.py` in PyTorch's functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minirnn.bench.peers import Contender, Missing, library
from minirnn.bench.problems import Array, Problem

__all__ = ["contender"]


def contender(problem: Problem) -> Contender:
    """Return a compiled step in a loop as a contender; raise `Missing` for sequences with lengths."""
    if problem.lengths is not None:
        raise Missing("torch compiled: sequences with lengths are not measured")
    torch = library("torch")
    step = torch.compile(_step(torch, problem.cell))
    leaves = [torch.tensor(a, requires_grad=problem.what != "inference") for a in problem.arguments]
    dout, states = torch.from_numpy(problem.arrays["dout"]), len(problem.spec.states)

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

    names = [*problem.spec.results, *problem.gradients]

    def results(made: Any) -> dict[str, Array]:
        return {name: a.detach().numpy() for name, a in zip(names, made, strict=False)}

    run = train if problem.trains else inference if problem.what == "inference" else forward
    return Contender("torch compiled", run, results)


def _step(torch: Any, cell: str) -> Callable[..., tuple[Any, ...]]:
    """Return a function of the input's pre-activations, W_hh, (b_hh) and the states that returns the next states."""
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
