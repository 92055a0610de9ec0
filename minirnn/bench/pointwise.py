"""The gates alone: the pointwise level of the kernel contract, forward and backward, and what bounds it.

Two bounds are measured in the same run, and the larger counts:

    traffic         the words in `COUNTS`, at the rate of `peak.traffic` for arrays of the same size together
    instructions    the multiply-adds and divisions in `COUNTS`, at the rate of `peak.mix_seconds`

A sigmoid or a tanh is one exponential and one division. The exponential takes 3 multiply-adds to bring its argument
within half of ln 2, a polynomial of degree 6 (float32) or 11 (float64) by as many, and one to scale: 10 or 15. Other
instructions (additions, comparisons, loads) are not counted, so that this is a bound and not an estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minirnn.bench import peak
from minirnn.bench.peers import Contender, Missing
from minirnn.bench.problems import Array, disagreement
from minirnn.bench.sizes import Size
from minirnn_kernels import gates as equations
from minirnn_kernels.contract import Kernels

__all__ = ["COUNTS", "SHAPES", "PointwiseProblem", "bound", "check", "contender", "expected", "prepare"]

SHAPES = tuple(
    Size(f"{B}x{H}", B, 1, 0, H, "the gates of one step") for B, H in ((32, 256), (64, 512), (128, 1024), (512, 2048))
)


Results = dict[str, Array]


@dataclass(frozen=True)
class Counts:
    """For each element of a gate: words read and written, activations, and further multiplications."""

    words: int
    activations: int
    products: int


COUNTS = {
    ("rnn", False): Counts(2, 1, 0),  # a -> h
    ("rnn", True): Counts(3, 0, 2),  # h, dh -> da
    ("lstm", False): Counts(11, 5, 3),  # 4 a, c_prev -> i f g o, c, h
    ("lstm", True): Counts(13, 1, 14),  # i f g o, c_prev, c, dh, dc -> 4 da, dc_prev
    ("gru", False): Counts(9, 3, 2),  # 4 a, h_prev -> n r z, h
    ("gru", True): Counts(11, 0, 12),  # n r z q, h_prev, dh -> 4 da, dh
}


@dataclass(frozen=True)
class PointwiseProblem:
    """Gates of B rows and H units."""

    cell: str
    backward: bool
    size: Size
    dtype: str = "float32"
    seed: int = 0

    @property
    def what(self) -> str:
        return "gates backward" if self.backward else "gates"

    @property
    def elements(self) -> int:
        return self.size.B * self.size.H

    @property
    def bytes(self) -> int:
        return COUNTS[self.cell, self.backward].words * self.elements * int(np.dtype(self.dtype).itemsize)

    def draw(self, still: bool) -> dict[str, Array]:
        """Fresh arguments by name.

        `still`: with values that calls in place leave as they are (a backward's factor is 1), because gradients that
        shrink from call to call would soon be subnormal, and slow.
        """
        rng, shape = np.random.default_rng(self.seed), (self.size.B, self.size.H)
        blocks = 1 if self.cell == "rnn" else 4
        names = ("c_prev", "c", "h", "h_prev", "dh", "dc")
        made = {"a": rng.standard_normal((blocks, *shape))} | {name: rng.uniform(-1, 1, shape) for name in names}
        if self.backward:
            made["a"] = rng.uniform(0.1, 0.9, (blocks, *shape))
            made["h"] = rng.uniform(-0.9, 0.9, shape)
        if still and self.backward:
            made["h"][...] = 0
            if self.cell == "gru":
                made["a"][2] = 1
        made = {name: a.astype(self.dtype) for name, a in made.items()}
        return made | {"da": np.zeros_like(made["a"])}


def prepare(record: Kernels, problem: PointwiseProblem, a: dict[str, Array]) -> tuple[Callable[[], None], Results]:
    """A call in place, without arguments, so that nothing is timed but the record's function; and its results."""
    arguments: tuple[Any, ...]
    results: Results
    if problem.cell == "rnn":
        if problem.backward:
            arguments, results = (a["h"], a["dh"], "tanh"), {"da": a["dh"]}
        else:
            arguments, results = (a["a"][0], "tanh"), {"h": a["a"][0]}
    elif problem.cell == "lstm":
        if problem.backward:
            arguments = (a["a"], a["c_prev"], a["c"], a["dh"], a["dc"], a["da"])
            results = {"da": a["da"], "dc": a["dc"]}
        else:
            arguments = (a["a"], a["c_prev"], a["c"], a["h"])
            results = {"gates": a["a"], "c": a["c"], "h": a["h"]}
    elif problem.backward:
        arguments, results = (a["a"], a["h_prev"], a["dh"], a["da"]), {"da": a["da"], "dh": a["dh"]}
    else:
        arguments, results = (a["a"], a["h_prev"], a["h"]), {"gates": a["a"][:3], "h": a["h"]}
    functions = record.gates.of(problem.cell)
    return partial(functions.backward if problem.backward else functions.forward, *arguments), results


def contender(record: Kernels, problem: PointwiseProblem) -> Contender:
    """A record's gates on arrays that stay the same from call to call."""
    if getattr(record, "gates", None) is None:
        raise Missing(f"{record.name} has no gates of its own")
    arrays = problem.draw(still=True)
    if not record.accepts(*arrays.values()):
        raise Missing(f"{record.name} does not accept {problem.dtype}")
    run, results = prepare(record, problem, arrays)
    return Contender(record.name, run, lambda made: results)


def check(record: Kernels, problem: PointwiseProblem) -> tuple[float, str | None]:
    """The worst error relative to what is allowed, and what is wrong, on fresh arguments against gates.py in float64.

    Twenty roundings lie on the way to each entry, and an error bound of some roundings each holds: 64 of them.
    """
    right = expected(problem, {k: a.astype(np.float64) for k, a in problem.draw(still=False).items()})
    run, results = prepare(record, problem, problem.draw(still=False))
    run()
    return disagreement(results, right, float(64 * np.finfo(problem.dtype).eps))


def expected(problem: PointwiseProblem, a: dict[str, Array]) -> dict[str, Array]:
    """What a call makes of the same arguments, by the equations of gates.py; the arguments stay as they are."""
    blocks = a["a"]
    if problem.cell == "rnn":
        if problem.backward:
            return {"da": equations.rnn_gates_backward(a["dh"], a["h"])}
        return {"h": equations.rnn_gates(blocks[0])}
    if problem.cell == "lstm":
        if problem.backward:
            cache = (*blocks, a["c_prev"], np.tanh(a["c"]))
            da, dc = equations.lstm_gates_backward(a["dh"], a["dc"], cache)
            return {"da": np.stack(np.split(da, 4, axis=-1)), "dc": dc}
        h, c, cache = equations.lstm_gates(np.concatenate(list(blocks), axis=-1), a["c_prev"])
        return {"gates": np.stack(cache[:4]), "c": c, "h": h}
    n, r, z, q = blocks
    if problem.backward:
        da_ih, da_hh, dh = equations.gru_gates_backward(a["dh"], (r, z, n, q, a["h_prev"]))
        (da_r, da_z, da_n), da_hn = np.split(da_ih, 3, axis=-1), np.split(da_hh, 3, axis=-1)[2]
        return {"da": np.stack([da_n, da_r, da_z, da_hn]), "dh": dh}
    zeros = np.zeros_like(n)
    h, (r, z, n, *_) = equations.gru_gates(
        np.concatenate([r, z, n], axis=-1), np.concatenate([zeros, zeros, q], axis=-1), a["h_prev"]
    )
    return {"gates": np.stack([n, r, z]), "h": h}


def bound(problem: PointwiseProblem, threads: int) -> dict[str, Any]:
    """{"seconds", "by": "traffic" or "instructions", "traffic": seconds, "instructions": seconds}."""
    counts = COUNTS[problem.cell, problem.backward]
    exponential = 10 if problem.dtype == "float32" else 15
    multiply_adds = counts.activations * exponential + counts.products
    traffic = problem.bytes / peak.traffic(problem.bytes, problem.dtype, threads)
    instructions = problem.elements * peak.mix_seconds(problem.dtype, threads, multiply_adds, counts.activations)
    by = "traffic" if traffic > instructions else "instructions"
    return {"seconds": max(traffic, instructions), "by": by, "traffic": traffic, "instructions": instructions}
