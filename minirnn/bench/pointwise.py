"""The gates alone: the pointwise level of the kernel contract, forward and backward, and lower bounds on its time.

Two bounds are measured in the same run, and the larger one counts:

    traffic         the words in `COUNTS`, at the rate of `peak.traffic` for arrays of the same total size
    instructions    the multiply-adds and divisions in `COUNTS`, at the rate of `peak.mix_seconds`

A sigmoid or a tanh is one exponential and one division. The exponential takes 3 multiply-adds to reduce its argument
to half of ln 2, 6 (float32) or 11 (float64) for a polynomial of that degree, and 1 to scale: 10 or 15 in all. Other
instructions (additions, comparisons, loads) are not counted, so this is a bound and not an estimate.
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
from minirnn_kernels.cell import CELLS
from minirnn_kernels.contract import Kernels
from minirnn_kernels.proof.gates import BLOCKS, FUNCTIONS, GatesFunction

__all__ = ["COUNTS", "SHAPES", "PointwiseProblem", "bound", "check", "contender", "expected", "prepare"]

SHAPES = tuple(
    Size(f"{B}x{H}", B, 1, 0, H, "the gates of one step") for B, H in ((32, 256), (64, 512), (128, 1024), (512, 2048))
)

Results = dict[str, Array]


@dataclass(frozen=True)
class Counts:
    """Operations for each element of a gate: words read and written, activations, and other multiplications."""

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
    """The gates of one step with B rows and H units."""

    cell: str
    backward: bool
    size: Size
    dtype: str = "float32"
    seed: int = 0

    @property
    def what(self) -> str:
        return "gates backward" if self.backward else "gates"

    @property
    def function(self) -> GatesFunction:
        """The description of the function: its arguments, results and expected values. An RNN uses tanh."""
        option = "".join(f"-{kind}" for kind in CELLS[self.cell].nonlinearities[:1])
        return FUNCTIONS[f"{self.cell}{'_backward' * self.backward}{option}"]

    @property
    def elements(self) -> int:
        return self.size.B * self.size.H

    @property
    def bytes(self) -> int:
        return COUNTS[self.cell, self.backward].words * self.elements * int(np.dtype(self.dtype).itemsize)

    def draw(self, still: bool) -> dict[str, Array]:
        """Draw new arguments, in the order of the function.

        still: choose values that do not change in repeated calls in place (the factor of a backward pass is 1).
        Gradients that shrink from call to call would soon be subnormal, and arithmetic with them is slow.
        """
        rng, shape = np.random.default_rng(self.seed), (self.size.B, self.size.H)
        blocks = 1 if self.cell == "rnn" else BLOCKS
        names = ("c_prev", "c", "h", "h_prev", "dh", "dc")
        made = {"a": rng.standard_normal((blocks, *shape))} | {name: rng.uniform(-1, 1, shape) for name in names}
        if self.backward:
            made["a"] = rng.uniform(0.1, 0.9, (blocks, *shape))
            made["h"] = rng.uniform(-0.9, 0.9, shape)
        if still and self.backward:
            made["h"][...] = 0
            if self.cell == "gru":
                made["a"][2] = 1
        made |= {"gates": made["a"], "a": made["a"][0], "da": np.zeros_like(made["a"])}
        return {name: made[name].astype(self.dtype) for name in self.function.arguments}


def prepare(record: Kernels, problem: PointwiseProblem, arrays: dict[str, Array]) -> tuple[Callable[[], None], Results]:
    """Return a call in place without arguments, so that only the record's function is timed, and its results."""
    function = problem.function
    call = partial(function.of(record.gates), *arrays.values(), *function.options)
    return call, {_result_name(argument, parts): arrays[argument] for argument, parts in function.results.items()}


def _result_name(argument: str, parts: tuple[str, ...]) -> str:
    """Return the name of a result: the argument itself where it has several blocks, else the value that it holds."""
    return argument if len(parts) > 1 else parts[0]


def contender(record: Kernels, problem: PointwiseProblem) -> Contender:
    """Return the gates of a record as a contender, on arrays that do not change from call to call."""
    if record.gates is None or problem.cell not in record.gates.cells:
        raise Missing(f"{record.name} has no gates of this cell")
    arrays = problem.draw(still=True)
    if not record.accepts(*arrays.values()):
        raise Missing(f"{record.name} does not accept {problem.dtype}")
    run, results = prepare(record, problem, arrays)
    return Contender(record.name, run, lambda made: results)


def check(record: Kernels, problem: PointwiseProblem) -> tuple[float, str | None]:
    """Return the worst error relative to the tolerance, and a description if it is too large.

    The results are compared with gates.py in float64. An entry depends on about twenty roundings, each bounded by a few
    units in the last place; the tolerance is 64 of them.
    """
    right = expected(problem, {k: a.astype(np.float64) for k, a in problem.draw(still=False).items()})
    run, results = prepare(record, problem, problem.draw(still=False))
    run()
    return disagreement(results, right, float(64 * np.finfo(problem.dtype).eps))


def expected(problem: PointwiseProblem, arrays: dict[str, Array]) -> Results:
    """Return the results of a call with these arguments, by the equations of gates.py; the arguments do not change."""
    function = problem.function
    values = {name: value for name, (value, _) in function.expected(arrays, 0.0, *function.options).items()}
    return {
        _result_name(argument, parts): np.stack([values[part] for part in parts])
        if len(parts) > 1
        else values[parts[0]]
        for argument, parts in function.results.items()
    }


def bound(problem: PointwiseProblem, threads: int) -> dict[str, Any]:
    """Return {"seconds", "by": "traffic" or "instructions", "traffic": seconds, "instructions": seconds}."""
    counts = COUNTS[problem.cell, problem.backward]
    exponential = 10 if problem.dtype == "float32" else 15
    multiply_adds = counts.activations * exponential + counts.products
    traffic = problem.bytes / peak.traffic(problem.bytes, problem.dtype, threads)
    instructions = problem.elements * peak.mix_seconds(problem.dtype, threads, multiply_adds, counts.activations)
    by = "traffic" if traffic > instructions else "instructions"
    return {"seconds": max(traffic, instructions), "by": by, "traffic": traffic, "instructions": instructions}
