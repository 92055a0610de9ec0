"""The same problem through every library, as functions that can be timed and whose results can be compared.

A peer that isn't installed, or that can't compute a problem, raises `Missing` with the reason, which the report prints.
Each library runs in its fastest form: weights in its own layout before the clock starts, its compiler, its threads.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minirnn.bench.problems import Array, Problem
from minirnn.recurrent import LAYOUTS
from minirnn_kernels.contract import Kernels

__all__ = ["COMPILED", "PEERS", "Contender", "Missing", "library", "of_peer", "of_record"]

PEERS = ("torch", "torch packed", "torch padded", "onnxruntime", "jax")
COMPILED = "torch compiled"  # measured only on request


class Missing(Exception):
    """A contender can't be measured; the message gives the reason."""


@dataclass(frozen=True)
class Contender:
    """A function to be timed, `run`, and `results`, which names the results as in the kernel contract.

    calls: how many calls one run makes; a time is the time of a run divided by `calls`.
    """

    name: str
    run: Callable[[], Any]
    results: Callable[[Any], dict[str, Array]]
    calls: int = 1


def library(name: str) -> Any:
    """Return the module; raise `Missing` if it can't be imported."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # a broken installation can fail in any way
        raise Missing(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from None


def of_record(record: Kernels, problem: Problem) -> Contender:
    """Return a record of kernels as a contender, called as the layers call it."""
    arguments, dout = problem.arguments, problem.arrays["dout"]
    if problem.cell not in record.cells:
        raise Missing(f"{record.name} has no {problem.cell} cell")
    if not record.accepts(*arguments):
        raise Missing(f"{record.name} does not accept {problem.dtype}")
    functions, outputs, lengths = record.of(problem.cell), problem.spec.results, problem.lengths
    none = [None] * len(problem.spec.states)

    def train() -> Any:
        *results, cache = functions.forward(*arguments, lengths)
        return [*results, *functions.backward(dout, *none, cache)]

    if problem.trains:
        names = [*outputs, *problem.gradients]
        return Contender(record.name, train, lambda made: dict(zip(names, made, strict=True)))
    function = functions.forward if problem.what == "forward" else functions.inference
    return Contender(
        record.name, lambda: function(*arguments, lengths), lambda made: dict(zip(outputs, made, strict=False))
    )


def of_peer(name: str, problem: Problem) -> Contender:
    """Return one of `PEERS`, or `COMPILED`, as a contender; raise `Missing` if it can't take part."""
    if problem.cell not in LAYOUTS["pytorch"].orders:
        raise Missing(f"{name} has no {problem.cell} cell")
    from minirnn.bench.peers import jax_peer, onnx_peer, torch_compiled, torch_peer

    if name == COMPILED:
        return torch_compiled.contender(problem)
    if name == "onnxruntime":
        return onnx_peer.contender(problem)
    if name == "jax":
        return jax_peer.contender(problem)
    return torch_peer.contender(problem, name)
