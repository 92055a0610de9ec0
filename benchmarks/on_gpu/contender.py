"""The contenders of benchmarks/gpu.py: their common interface, the numbers that they compute with, and clocks.

`Numbers` draws the numbers of a row on the host, with PyTorch's names. A contender gets several sets of them, so that
repeated calls do not find x in the cache, and `run(k)` computes with set k. `seconds(n)` times n calls. `results(made)`
returns float64 arrays on the host, with the names of `Numbers.expected`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from on_gpu.plan import MODES, GpuRow, lengths

from minirnn_kernels.cell import CELLS

__all__ = ["Array", "GpuContender", "Numbers", "events", "host_clock", "with_layer_axis"]

Array = np.ndarray


@dataclass
class GpuContender:
    """One implementation that computes a row."""

    name: str
    run: Callable[[int], Any]  # compute with one set of numbers
    results: Callable[[Any], dict[str, Array]]  # the result of `run` as float64 arrays on the host
    clock: Callable[[Callable[[], Any]], float]  # the seconds that a function takes
    mode: Callable[[], Any] = contextlib.nullcontext  # a context that sets the library's switches for the row's mode
    notes: dict[str, Any] = field(default_factory=dict)
    sets: int = 1  # the sets of numbers
    calls: int = 1  # the calls that one run makes

    def seconds(self, calls: int) -> float:
        """Return the seconds per call of at least `calls` consecutive calls."""
        runs = -(-calls // self.calls)

        def work() -> None:
            for k in range(runs):
                self.run(k % self.sets)

        with self.mode():
            return self.clock(work) / (runs * self.calls)

    def once(self, k: int = 0) -> dict[str, Array]:
        """Return the results for one set of numbers."""
        with self.mode():
            return self.results(self.run(k))


# ---- the numbers -----------------------------------------------------------------------------------------------------


class Numbers:
    """The parameters of a row and several sets of its other arguments, as float32 (or float64) on the host.

    Weights are uniform within 1/sqrt(H), as PyTorch initialises them, and the padding is zero. The second bias is zero
    except in the GRU, because the kernels take one bias for the other cells. The numbers of 16-bit modes are exact in
    16 bits, so that all contenders start from the same numbers.
    """

    def __init__(self, row: GpuRow, seed: int, sets: int = 1) -> None:
        rng = np.random.default_rng(seed)
        s, cell, both = row.size, row.cell, row.directions
        self.row, self.cell, self.lengths = row, cell, lengths(row)
        self.states = CELLS[cell].states
        bound = s.H**-0.5
        self.parameters: dict[str, Array] = {}
        for layer in range(row.layers):
            for end in ("", "_reverse")[:both]:
                I = both * s.H if layer else row.inputs
                for name, shape in CELLS[cell].parameters(I, s.H).items():
                    self.parameters[f"{name}_l{layer}{end}"] = rng.uniform(-bound, bound, shape)
                if not CELLS[cell].two_biases:
                    self.parameters[f"bias_hh_l{layer}{end}"][:] = 0
        self.sets: list[dict[str, Array]] = []
        for _ in range(sets):
            # these large arrays are float32 in every mode, which takes a third of the time to draw
            shapes = {"x": (s.T, s.B, row.inputs), "dout": (s.T, s.B, both * s.H)}
            one: dict[str, Array] = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
            one |= {f"{state}0": rng.uniform(-1, 1, (row.layers * both, s.B, s.H)) for state in self.states}
            if self.lengths is not None:
                past = np.arange(s.T)[:, None] >= self.lengths
                one["x"][past] = one["dout"][past] = 0
            self.sets.append(one)
        for arrays in (self.parameters, *self.sets):
            arrays.update({name: _rounded(a, row.mode) for name, a in arrays.items()})

    @property
    def inputs(self) -> list[str]:
        """The names of the arguments with gradients, in the order of a contender's arguments."""
        return ["x", *(f"{s}0" for s in self.states), *self.parameters]

    @property
    def expected(self) -> list[str]:
        """The names of the results: out, the final states and, in training, "d" and the name of each input."""
        names = ["out", *(f"{s}_n" for s in self.states)]
        return names + [f"d{name}" for name in self.inputs] * (self.row.what == "training")


def _rounded(a: Array, mode: str) -> Array:
    """Return an array rounded to the storage type of a mode."""
    storage = MODES[mode][0]
    if storage == "bfloat16":  # to nearest, ties to even; NumPy has no bfloat16
        bits = a.astype(np.float32).view(np.uint32)
        bits = bits + 0x7FFF + (bits >> 16 & 1) & np.uint32(0xFFFF0000)
        return bits.view(np.float32)
    return a.astype(np.float16).astype(np.float32) if storage == "float16" else a.astype(storage)


# ---- clocks ----------------------------------------------------------------------------------------------------------


def events(make: Callable[[], Any], record: Callable[[Any], Any], between: Callable[[Any, Any], float]) -> Any:
    """Return a clock that uses two events of a device; `between` waits for both and returns milliseconds."""

    def clock(work: Callable[[], Any]) -> float:
        begin, end = make(), make()
        record(begin)
        work()
        record(end)
        return between(begin, end) / 1e3

    return clock


def host_clock(wait: Callable[[], Any]) -> Any:
    """Return a clock of the host, for devices without events; `wait` returns when the device has finished its work."""

    def clock(work: Callable[[], Any]) -> float:
        wait()
        begin = time.perf_counter()
        work()
        wait()
        return time.perf_counter() - begin

    return clock


def with_layer_axis(arrays: dict[str, Array], states: int) -> dict[str, Array]:
    """Return the results with states (1, B, H) instead of (B, H), as in PyTorch."""
    of_state = {f"{before}{s}{after}" for s in "hc" for before, after in (("", "_n"), ("d", "0"))}
    return {n: a[None] if n in of_state else a for n, a in arrays.items()}
