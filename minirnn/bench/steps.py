"""Single steps of one sequence from Python, nothing recorded: the cell of each library, as sampling calls it.

A run is the problem's T steps, the state handed on, inside one `no_grad`; the time reported is that of one step.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np

from minirnn.bench.peers import Contender, Missing, library
from minirnn.bench.problems import STATES, Array, Problem
from minirnn_kernels.contract import Kernels

__all__ = ["of_cell", "of_record", "of_torch"]


def of_record(record: Kernels, problem: Problem) -> Contender:
    """A record's own step, called directly."""
    step = record.of(problem.cell).step
    x, states, weights = _parts(problem)
    if not record.accepts(*problem.arguments):
        raise Missing(f"{record.name} does not accept {problem.dtype}")
    return _contender(record.name, problem, lambda x_t, *states: step(x_t, *states, *weights), list(x), states)


def of_cell(name: str, problem: Problem) -> Contender:
    """minirnn's `nn.LSTMCell` (GRUCell, RNNCell) with the kernels of that name."""
    import minirnn
    from minirnn import nn

    s, arrays = problem.size, problem.arrays
    cell = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}[problem.cell](s.I, s.H, dtype=problem.dtype)
    b_ih, b_hh = _two_biases(problem)
    cell.load_state_dict({"weight_ih": arrays["W_ih"], "weight_hh": arrays["W_hh"], "bias_ih": b_ih, "bias_hh": b_hh})
    x, states, _ = _parts(problem)
    inside = (lambda: minirnn.kernels(name), minirnn.no_grad)
    tensors = [minirnn.Tensor(a) for a in x]
    return _contender(
        name, problem, _pytorch_form(problem, cell), tensors, [minirnn.Tensor(a) for a in states], *inside
    )


def of_torch(problem: Problem) -> Contender:
    """PyTorch's cell under inference_mode."""
    torch = library("torch")
    s, arrays = problem.size, problem.arrays
    cell = getattr(torch.nn, f"{problem.cell.upper()}Cell")(s.I, s.H, dtype=getattr(torch, problem.dtype))
    with torch.no_grad():
        weights = (arrays["W_ih"], arrays["W_hh"], *_two_biases(problem))
        for parameter, a in zip(cell.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(a))
    x, states, _ = _parts(problem)
    tensors = [torch.from_numpy(a) for a in x]
    given = [torch.from_numpy(a) for a in states]
    return _contender("torch", problem, _pytorch_form(problem, cell), tensors, given, torch.inference_mode)


def _parts(problem: Problem) -> tuple[Array, list[Array], list[Array]]:
    """x (T, B, I), the states (B, H), weights and biases."""
    x, *rest = problem.arguments
    states = len(STATES[problem.cell])
    return x, rest[:states], rest[states:]


def _two_biases(problem: Problem) -> tuple[Array, Array]:
    b_ih = problem.arrays[problem.biases[0]]
    return b_ih, problem.arrays.get("b_hh", np.zeros_like(b_ih))


def _pytorch_form(problem: Problem, cell: Callable[..., Any]) -> Callable[..., Any]:
    """A cell that takes an LSTM's two states as a pair, called with the states one by one."""
    return (lambda x, h, c: cell(x, (h, c))) if problem.cell == "lstm" else cell


def _contender(
    name: str,
    problem: Problem,
    step: Callable[..., Any],
    xs: list[Any],
    states: list[Any],
    *inside: Callable[[], AbstractContextManager[Any]],
) -> Contender:
    def pairs() -> Any:
        with ExitStack() as stack:
            for context in inside:
                stack.enter_context(context())
            h, c = states
            for x in xs:
                h, c = step(x, h, c)
        return h, c

    def singles() -> Any:
        with ExitStack() as stack:
            for context in inside:
                stack.enter_context(context())
            (h,) = states
            for x in xs:
                h = step(x, h)
        return (h,)

    def results(made: Any) -> dict[str, Array]:
        return {f"{s}_n": _array(a) for s, a in zip(STATES[problem.cell], made, strict=True)}

    return Contender(name, pairs if problem.cell == "lstm" else singles, results, len(xs))


def _array(a: Any) -> Array:
    return a.detach().numpy() if hasattr(a, "detach") else a
