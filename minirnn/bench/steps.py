"""Single steps of one sequence from Python without recording gradients: each library's cell, called as in sampling.

A run makes the T steps of the problem inside one `no_grad`, with the state of each step passed to the next. The
reported time is that of one step.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from minirnn.bench.peers import Contender, Missing, library
from minirnn.bench.peers.torch_peer import copy_weights
from minirnn.bench.problems import Array, Problem
from minirnn.recurrent import LAYOUTS
from minirnn_kernels.contract import Kernels

__all__ = ["of_cell", "of_record", "of_torch"]


def of_record(record: Kernels, problem: Problem) -> Contender:
    """Return the step of a record as a contender, called directly."""
    if problem.cell not in record.cells:
        raise Missing(f"{record.name} has no {problem.cell} cell")
    step = record.of(problem.cell).step
    x, states, weights = _parts(problem)
    if not record.accepts(*problem.arguments):
        raise Missing(f"{record.name} does not accept {problem.dtype}")
    return _contender(record.name, problem, lambda x_t, *states: step(x_t, *states, *weights), list(x), states)


def of_cell(name: str, problem: Problem) -> Contender:
    """Return minirnn's `nn.LSTMCell`, `GRUCell` or `RNNCell` as a contender, with the kernels of that name."""
    import minirnn
    from minirnn import nn

    s, arrays = problem.size, problem.arrays
    cell = getattr(nn, f"{problem.spec.title}Cell")(s.I, s.H, dtype=problem.dtype)
    b_ih, b_hh = problem.pytorch_biases
    cell.load_state_dict({"weight_ih": arrays["W_ih"], "weight_hh": arrays["W_hh"], "bias_ih": b_ih, "bias_hh": b_hh})
    x, states, _ = _parts(problem)
    inside = (lambda: minirnn.kernels(name), minirnn.no_grad)
    tensors = [minirnn.Tensor(a) for a in x]
    return _contender(
        name, problem, _pytorch_form(problem, cell), tensors, [minirnn.Tensor(a) for a in states], *inside
    )


def of_torch(problem: Problem) -> Contender:
    """Return PyTorch's cell under inference_mode as a contender."""
    torch = library("torch")
    if problem.cell not in LAYOUTS["pytorch"].orders:
        raise Missing(f"torch has no {problem.cell} cell")
    s = problem.size
    cell = getattr(torch.nn, f"{problem.spec.title}Cell")(s.I, s.H, dtype=getattr(torch, problem.dtype))
    copy_weights(torch, problem, cell)
    x, states, _ = _parts(problem)
    tensors = [torch.from_numpy(a) for a in x]
    given = [torch.from_numpy(a) for a in states]
    return _contender("torch", problem, _pytorch_form(problem, cell), tensors, given, torch.inference_mode)


def _parts(problem: Problem) -> tuple[Array, list[Array], list[Array]]:
    """Return x (T, B, I), the states (B, H), and the weights with the biases."""
    x, *rest = problem.arguments
    states = len(problem.spec.states)
    return x, rest[:states], rest[states:]


def _pytorch_form(problem: Problem, cell: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of x and the single states, for a cell that takes the two states of an LSTM as a pair."""
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
        return {f"{s}_n": _array(a) for s, a in zip(problem.spec.states, made, strict=True)}

    return Contender(name, pairs if problem.cell == "lstm" else singles, results, len(xs))


def _array(a: Any) -> Array:
    return a.detach().numpy() if hasattr(a, "detach") else a
