"""The same problem through every library: functions to be timed, whose results can be compared.

A peer that isn't installed, or that can't compute a problem, raises `Missing` with the reason, which the report prints.
Each is given what makes it fast: weights in its own layout before the clock starts, its compiler, its own threads.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minirnn.bench.problems import STATES, Array, Problem
from minirnn_kernels.contract import Kernels

__all__ = ["COMPILED", "PEERS", "Contender", "Missing", "library", "of_peer", "of_record"]

PEERS = ("torch", "torch packed", "torch padded", "onnxruntime", "jax")
COMPILED = "torch compiled"  # takes part only where it is asked for


class Missing(Exception):
    """Why a contender can't take part."""


@dataclass(frozen=True)
class Contender:
    """`run` is what is timed; `results` turns what it returned into arrays under the kernel contract's names.

    A time is what `run` takes divided by `calls`, where one run makes several.
    """

    name: str
    run: Callable[[], Any]
    results: Callable[[Any], dict[str, Array]]
    calls: int = 1


def library(name: str) -> Any:
    """The module, or `Missing`."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # a broken installation can fail in any way
        raise Missing(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from None


def of_record(record: Kernels, problem: Problem) -> Contender:
    """A record of kernels, called as the layers call it."""
    arguments, dout = problem.arguments, problem.arrays["dout"]
    if not record.accepts(*arguments):
        raise Missing(f"{record.name} does not accept {problem.dtype}")
    cell, states, lengths = problem.cell, STATES[problem.cell], problem.lengths
    functions = record.of(cell)
    outputs = ("out", *(f"{s}_n" for s in states))

    def train() -> Any:
        *results, cache = functions.forward(*arguments, lengths)
        return [*results, *functions.backward(dout, *(None for _ in states), cache)]

    if problem.trains:
        names = (*outputs, *(f"d{name}" for name in problem.inputs))
        return Contender(record.name, train, lambda made: dict(zip(names, made, strict=True)))
    function = functions.forward if problem.what == "forward" else functions.inference
    return Contender(
        record.name, lambda: function(*arguments, lengths), lambda made: dict(zip(outputs, made, strict=False))
    )


def of_peer(name: str, problem: Problem) -> Contender:
    """The contender of one of `PEERS`, or `COMPILED`; `Missing` if it can't take part."""
    from minirnn.bench.peers import jax_peer, onnx_peer, torch_compiled, torch_peer

    if name == COMPILED:
        return torch_compiled.contender(problem)
    if name == "onnxruntime":
        return onnx_peer.contender(problem)
    if name == "jax":
        return jax_peer.contender(problem)
    return torch_peer.contender(problem, name)
