"""PyTorch: `torch.nn.LSTM`, `GRU` and `RNN`, eager, on the CPU.

Sequences with lengths can be computed in two ways, and both are timed. "torch packed" follows PyTorch's documentation:
it packs the padded arrays, computes, and pads the result. "torch padded" computes the padding too, with fast kernels
that packed sequences can't use, and sets it to zero; the upstream gradients there are zero, so all gradients are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minirnn.bench.peers import Contender, Missing, library
from minirnn.bench.problems import Array, Problem

__all__ = ["contender"]


def contender(problem: Problem, name: str) -> Contender:
    """Return PyTorch in one of its forms as a contender; raise `Missing` if the form does not fit the problem."""
    if (name == "torch") != (problem.lengths is None):
        raise Missing("")
    torch = library("torch")
    x, states, layer = _leaves(torch, problem)
    call = _call(torch, problem, name, layer)
    if problem.trains:
        return _training(torch, problem, name, x, states, layer, call)

    def forward() -> Any:
        return call(x, states)

    def inference() -> Any:
        with torch.inference_mode():
            return call(x, states)

    return Contender(name, forward if problem.what == "forward" else inference, lambda made: _named(problem, made))


def _leaves(torch: Any, problem: Problem) -> tuple[Any, list[Any], Any]:
    """Return x, the initial states (1, B, H) and the layer."""
    arrays = problem.arrays
    layer = getattr(torch.nn, problem.spec.title)(problem.size.I, problem.size.H, dtype=getattr(torch, problem.dtype))
    copy_weights(torch, problem, layer)
    grad = problem.what != "inference"
    states = [torch.tensor(arrays[f"{s}0"][None], requires_grad=grad) for s in problem.spec.states]
    return torch.tensor(arrays["x"], requires_grad=grad), states, layer


def copy_weights(torch: Any, problem: Problem, module: Any) -> None:
    """Copy the weights and biases of the problem into a layer or a cell of PyTorch."""
    weights = (problem.arrays["W_ih"], problem.arrays["W_hh"], *problem.pytorch_biases)
    with torch.no_grad():
        for parameter, a in zip(module.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(a))


def _call(torch: Any, problem: Problem, name: str, layer: Any) -> Callable[[Any, list[Any]], Any]:
    """Return a function of x and the states that returns out and the last states, as the layer returns them."""
    given = (lambda states: tuple(states)) if problem.cell == "lstm" else (lambda states: states[0])
    if problem.lengths is None:
        return lambda x, states: layer(x, given(states))
    lengths = torch.from_numpy(problem.lengths)
    if name == "torch packed":
        rnn = torch.nn.utils.rnn

        def packed(x: Any, states: list[Any]) -> Any:
            out, h_n = layer(rnn.pack_padded_sequence(x, lengths, enforce_sorted=False), given(states))
            return rnn.pad_packed_sequence(out, total_length=problem.size.T)[0], h_n

        return packed
    inside = (torch.arange(problem.size.T)[:, None] < lengths)[..., None].to(getattr(torch, problem.dtype))
    last = lengths - 1

    def padded(x: Any, states: list[Any]) -> Any:
        out = layer(x, given(states))[0] * inside
        return out, (out[last, torch.arange(problem.size.B)][None],)

    return padded


def _training(
    torch: Any, problem: Problem, name: str, x: Any, states: list[Any], layer: Any, call: Callable[..., Any]
) -> Contender:
    dout = torch.from_numpy(problem.arrays["dout"])
    leaves = [x, *states, *layer.parameters()]
    names = problem.gradients + ["db again"] * (len(problem.spec.biases) == 1)

    def run() -> Any:
        made = call(x, states)
        return made, torch.autograd.grad(made[0], leaves, dout)

    def results(made: Any) -> dict[str, Array]:
        outputs, gradients = made
        found = {n: g.numpy() for n, g in zip(names, gradients, strict=True)}
        found |= {f"d{s}0": found[f"d{s}0"][0] for s in problem.spec.states}
        return _named(problem, outputs) | found

    return Contender(name, run, results)


def _named(problem: Problem, made: Any) -> dict[str, Array]:
    """Return out and the last states by name; "torch padded" gathers only h_n."""
    out, last = made
    last = last if isinstance(last, tuple) else (last,)
    return {
        name: a.detach().numpy().reshape(problem.size.B, problem.size.H)
        for name, a in zip(problem.spec.results[1:], last, strict=False)
    } | {"out": out.detach().numpy()}
