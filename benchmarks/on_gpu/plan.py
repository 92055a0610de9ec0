"""The rows that benchmarks/gpu.py measures, a lower bound on the time of each, and the targets.

Nothing here needs a GPU. A row is one problem: a cell, sizes, a mode, and what is computed.

what        inference   the forward pass, without a cache
            forward     the forward pass of training
            training    forward pass and all gradients
            gates       the pointwise kernels alone, forward; "gates backward" likewise
protocol    layer       includes the input product, with the I of the size
            recurrence  almost without the input product: I = 8 for every contender (PyTorch can't omit the product)
mode        strict      float32, products in float32
            high        float32, products of 3 x TF32; the peer computes in strict mode
            tf32        float32, products in TF32
            float64, bfloat16, float16: storage; 16-bit modes accumulate in float32
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minirnn.bench.pointwise import COUNTS
from minirnn.bench.sizes import Size
from minirnn_kernels.cell import CELLS

# mode: name of the storage dtype, its bytes, unit roundoff of a product's factors, unit roundoff of sums
MODES = {
    "strict": ("float32", 4, 2.0**-24, 2.0**-24),
    "high": ("float32", 4, 2.0**-22, 2.0**-24),
    "tf32": ("float32", 4, 2.0**-11, 2.0**-24),
    "float64": ("float64", 8, 2.0**-53, 2.0**-53),
    "bfloat16": ("bfloat16", 2, 2.0**-8, 2.0**-24),
    "float16": ("float16", 2, 2.0**-11, 2.0**-24),
}
WHATS = ("inference", "forward", "training")
FORWARD = ("inference", "forward")
FEW_INPUTS = 8


@dataclass(frozen=True)
class GpuRow:
    """One problem. `size` is as in its source; `inputs` is its I, as changed by the protocol."""

    what: str
    cell: str
    size: Size
    mode: str = "strict"
    protocol: str = "layer"
    layers: int = 1
    directions: int = 1
    ragged: bool = False

    @property
    def inputs(self) -> int:
        return self.size.I if self.protocol == "layer" else FEW_INPUTS

    @property
    def name(self) -> str:
        parts = [self.cell, self.size.name, self.what, self.mode]
        parts += [] if self.protocol == "layer" else [self.protocol]
        parts += ["2 layers"] * (self.layers == 2) + ["2 directions"] * (self.directions == 2)
        return ", ".join(parts + ["lengths"] * self.ragged)

    @property
    def stacked(self) -> bool:
        """Whether the row needs a module: the kernels compute one layer in one direction."""
        return self.layers > 1 or self.directions > 1

    @property
    def gates(self) -> bool:
        return self.what.startswith("gates")


def as_dict(row: GpuRow) -> dict[str, Any]:
    """Return the row for JSON; `of_dict` is the inverse."""
    return asdict(row)


def of_dict(found: dict[str, Any]) -> GpuRow:
    return GpuRow(**{**found, "size": Size(**found["size"])})


def lengths(row: GpuRow, seed: int = 0) -> np.ndarray | None:
    """Return lengths (B,), uniform in 1..T, at least one of them T; or None for a row without lengths."""
    if not row.ragged:
        return None
    drawn = np.random.default_rng(seed).integers(1, row.size.T + 1, row.size.B)
    drawn[0] = row.size.T
    return drawn


# ---- the sizes -------------------------------------------------------------------------------------------------------


def _deepbench(H: int, B: int, T: int) -> Size:
    return Size(f"deepbench-{H}x{B}", B, T, H, H, "DeepBench")


def _grid(H: int, B: int, T: int) -> Size:
    return Size(f"grid-{H}x{B}", B, T, H, H, "small batches, many steps")


DEEPBENCH = (
    *(_deepbench(256, B, 150) for B in (16, 32, 64)),
    *(_deepbench(512, B, 25) for B in (16, 32, 64, 128)),
    *(_deepbench(1024, B, 25) for B in (16, 32, 64, 128)),
    *(_deepbench(1536, B, 50) for B in (8, 16, 32)),
)
VANILLA = tuple(_deepbench(1760, B, 50) for B in (16, 32, 64))
GRU_SIZES = (_deepbench(1024, 32, 187),)
PYTORCH = (Size("pytorch", 64, 50, 500, 500, "PyTorch's own LSTM case"),)
FLASHRNN = tuple(Size(f"flashrnn-{H}", 16, 1024, H, H, "FlashRNN's sweep over H") for H in (128, 256, 512, 768))
GRID_SIZES = (
    *(_grid(H, 32, 100) for H in (192, 384, 512, 640, 768, 1024)),
    *(_grid(H, 16, 100) for H in (512, 1024)),
    *(_grid(H, 1, 100) for H in (512, 1024)),
)
LARGE_SIZES = (Size("large-2048x128", 128, 50, 2048, 2048, "where products bound"), _grid(2048, 32, 100))
TARGET = (*GRID_SIZES, *FLASHRNN[1:], *DEEPBENCH[:2])  # 192 < H <= 1024, B <= 32, T >= 50, and its edge
FEW_SIZES = (GRID_SIZES[2], GRID_SIZES[5], FLASHRNN[3])
MEGABYTES = (64, 256, 1024)  # of all arrays of one call of the gates


def gate_size(cell: str, backward: bool, megabytes: int) -> Size:
    """Return B rows of 1024 units whose float32 gates read and write at least this many MB (10^6 bytes)."""
    words = COUNTS[cell, backward].words
    B = math.ceil(megabytes * 10**6 / (4 * words * 1024))
    return Size(f"{megabytes} MB", B, 1, 0, 1024, "the gates of one step")


# ---- the parts -------------------------------------------------------------------------------------------------------

# name of a part: what it measures; each takes a few minutes with the default seconds per row
PARTS = {
    "lstm": "one LSTM layer at the sizes of the targets: strict, TF32, bf16",
    "recurrence": "the same almost without the product of the input",
    "deepbench": "DeepBench's and PyTorch's LSTM sizes, FlashRNN at H = 128, and sizes beyond them: strict, TF32, bf16",
    "half": "fp16, with and without a persistent kernel in cuDNN",
    "cells": "vanilla RNN and GRU: strict, TF32, bf16",
    "stacks": "two layers, two directions, lengths: strict, TF32, bf16",
    "precise": "3 x TF32 and float64",
    "levels": "each level forced, and the chosen level",
    "jax": "JAX's scan as another contender",
    "gates": "the pointwise kernels alone, compared with a copy of the same size",
}
USUAL = ("strict", "tf32", "bfloat16")


def rows(part: str, quick: bool = False) -> list[GpuRow]:
    """Return the rows of a part, in order; quick: the first size of each kind, inference and training only."""
    return list(_thinned(_rows(part)) if quick else _rows(part))


def _rows(part: str) -> Iterator[GpuRow]:
    if part == "lstm":
        yield from _product("lstm", TARGET)
    elif part == "recurrence":
        yield from _product("lstm", TARGET, protocol="recurrence")
    elif part == "deepbench":
        yield from _product(
            "lstm", (*DEEPBENCH[2:], *PYTORCH, FLASHRNN[0], *LARGE_SIZES), whats=("inference", "training")
        )
    elif part == "half":
        yield from _product("lstm", (*GRID_SIZES, *FLASHRNN, *PYTORCH), ("float16",))
    elif part == "cells":
        yield from _product("gru", (*GRU_SIZES, *FEW_SIZES))
        yield from _product("rnn", (*VANILLA, *FEW_SIZES))
    elif part == "stacks":
        for extra in ({"layers": 2}, {"directions": 2}, {"ragged": True}):
            yield from _product("lstm", FEW_SIZES, **extra)
        yield from _product("gru", FEW_SIZES[:1], ragged=True)
    elif part == "precise":
        yield from _product("lstm", FEW_SIZES, ("high", "float64"))
    elif part == "levels":
        yield from _product(
            "lstm", (FLASHRNN[0], DEEPBENCH[0], *FEW_SIZES, LARGE_SIZES[0]), whats=("inference", "training")
        )
    elif part == "jax":
        yield from _product("lstm", FEW_SIZES, whats=("inference", "training"))
        yield from _product("gru", FEW_SIZES[:1], whats=("inference", "training"))
    elif part == "gates":
        for cell in CELLS:
            for what in ("gates", "gates backward"):
                for megabytes in MEGABYTES:
                    yield GpuRow(what, cell, gate_size(cell, what != "gates", megabytes))
    else:
        raise ValueError(f"part {part!r} is not known, expected one of {', '.join(PARTS)}")


def _product(
    cell: str, sizes: Iterable[Size], modes: tuple[str, ...] = USUAL, whats: tuple[str, ...] = WHATS, **extra: Any
) -> Iterator[GpuRow]:
    for size in sizes:
        for mode in modes:
            for what in whats:
                yield GpuRow(what, cell, size, mode, **extra)


def _thinned(found: Iterable[GpuRow]) -> Iterator[GpuRow]:
    seen: dict[tuple[Any, ...], str] = {}
    for row in found:
        kind = tuple(value for name, value in as_dict(row).items() if name != "size")
        if row.what != "forward" and seen.setdefault(kind, row.size.name) == row.size.name:
            yield row


# ---- what a row costs at least ---------------------------------------------------------------------------------------


def _inputs(row: GpuRow) -> list[int]:
    """Return the number of inputs of each layer, which is the same for both directions."""
    return [row.inputs] + [row.directions * row.size.H] * (row.layers - 1)


def _steps(row: GpuRow) -> int:
    drawn = lengths(row)
    return row.size.B * row.size.T if drawn is None else int(drawn.sum())


def flop(row: GpuRow) -> int:
    """Return the number of additions and multiplications in the products.

    There are 2 K (I + H) per row and step of a layer, and three times as many in training.
    """
    if row.gates:
        return 0
    H, K = row.size.H, len(CELLS[row.cell].gates) * row.size.H
    once = sum(2 * K * (I + H) * row.directions for I in _inputs(row)) * _steps(row)
    return once * (3 if row.what == "training" else 1)


def bytes_moved(row: GpuRow) -> int:
    """Return the bytes that must be read from or written to memory: each argument and each result once.

    The results of a forward pass include the arrays that its backward pass needs (LSTM: gates and c; GRU: gates and q),
    in the type of sums. Padding is neither read nor written. The states between two layers count as a result and as an
    argument.
    """
    _, item, _, _ = MODES[row.mode]
    if row.gates:
        return COUNTS[row.cell, row.what != "gates"].words * row.size.B * row.size.H * item
    H, steps = row.size.H, _steps(row)
    total = 0
    for I in _inputs(row):
        parameters = sum(map(math.prod, CELLS[row.cell].shapes(I, H).values())) * row.directions
        outputs = steps * H * row.directions
        there = steps * I + parameters
        total += (there + outputs) * item
        if row.what == "training":
            total += (outputs + there) * item  # dout read; dx and the weights' gradients written
        if row.what == "forward":
            total += {"rnn": 0, "lstm": 5, "gru": 4}[row.cell] * outputs * max(4, item)
    return total


def allowed(row: GpuRow) -> float:
    """Return the error that rounding explains, relative to the norm of a result.

    The roundings of factors are independent, so that their relative effect on a sum does not depend on the number of
    terms. They enter in about eight places (x, W, h, the gates, da, and those of earlier steps, whose effect fades).
    The roundings of sums grow with the square root of the number of terms.
    """
    _, _, factors, sums = MODES[row.mode]
    terms = max(_inputs(row)) + row.size.H + row.size.B * row.size.T
    return 8 * factors + 2 * math.sqrt(terms) * sums


def roof(row: GpuRow, peaks: dict[str, float], bandwidth: float) -> dict[str, Any] | None:
    """Return a lower bound on the seconds of a row, given FLOP/s per mode and bytes per second, and the limiting rate.

    3 x TF32 has a third of TF32's rate. None if a rate was not measured.
    """
    rate = peaks.get("tf32", 0) / 3 if row.mode == "high" else peaks.get(row.mode, 0)
    if not bandwidth or (flop(row) and not rate):
        return None
    products = flop(row) / rate if flop(row) else 0.0
    memory = bytes_moved(row) / bandwidth
    return {
        "seconds": max(products, memory), "products": products, "memory": memory,
        "by": "products" if products > memory else "memory",
    }  # fmt: skip


# ---- the targets -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A target: all rows for which `holds` is true must have a `figure` of at least `least`.

    The figure is the peer's time / ours, or for gates the bytes per second relative to a copy's.
    """

    name: str
    least: float
    holds: Any


def _small(row: GpuRow) -> bool:
    return 192 < row.size.H <= 1024 and row.size.B <= 32 and row.size.T >= 50 and not row.gates


def _plain(row: GpuRow) -> bool:
    return _small(row) and not row.stacked and not row.ragged


def cudnn_persists(row: GpuRow) -> bool:
    """Return whether PyTorch uses cuDNN's persistent kernel: fp16, one layer, one direction, no packed sequence."""
    return (
        row.mode == "float16" and not row.stacked and not row.ragged and not row.gates
        and row.size.H <= 1024 and row.size.H % 128 == 0 and row.size.B % 8 == 0
    )  # fmt: skip


def _targets() -> Iterator[Target]:
    for mode in USUAL:
        is_plain = lambda r, mode=mode: _plain(r) and r.mode == mode and r.cell in ("lstm", "rnn")
        yield Target(f"one layer, {mode}, forward", 2.0, lambda r, f=is_plain: f(r) and r.what in FORWARD)
        yield Target(f"one layer, {mode}, training", 1.5, lambda r, f=is_plain: f(r) and r.what == "training")
    usual = lambda r: _small(r) and r.mode in USUAL
    yield Target("two layers", 1.5, lambda r: usual(r) and r.layers == 2)
    yield Target("two directions", 1.5, lambda r: usual(r) and r.directions == 2)
    yield Target("GRU", 1.5, lambda r: usual(r) and r.cell == "gru" and _plain(r))
    yield Target("lengths", 1.5, lambda r: usual(r) and r.ragged)
    yield Target("fp16 where cuDNN has a persistent kernel", 0.7, cudnn_persists)
    large = lambda r: not r.gates and r.mode in USUAL and (r.size.B >= 128 or r.size.H >= 1024) and not _small(r)
    yield Target("B >= 128, H >= 1024", 0.8, large)
    yield Target("gates at 64 MB and more, of a copy's bandwidth", 0.85, lambda r: r.gates)


TARGETS = tuple(_targets())


def judge(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a line for each target: how many rows it has, how many meet it, the worst row, and a verdict.

    The verdict is "met", "not met" or "not measured". found: rows of the document, each with "row" and "figure". If our
    results of a row are wrong, the row does not meet the target. A row without a figure, because the peer is missing,
    does not count.
    """
    lines, known = [], [(of_dict(f["row"]), f) for f in found]
    for target in TARGETS:
        there = [(row, f) for row, f in known if target.holds(row)]
        refused = [row for row, f in there if f.get("refused", {}).get("ours")]
        figures = [(f["figure"], row) for row, f in there if f["figure"] is not None]
        meet = sum(figure >= target.least for figure, _ in figures)
        worst = min(figures, key=lambda pair: pair[0], default=None)
        verdict = "not measured"
        if refused or figures:
            verdict = "met" if not refused and meet == len(figures) else "not met"
        lines.append({
            "target": target.name, "least": target.least, "rows": len(figures) + len(refused), "meet": meet,
            "worst": None if worst is None else worst[0], "worst_row": None if worst is None else worst[1].name,
            "refused": [row.name for row in refused], "verdict": verdict,
        })  # fmt: skip
    return lines


def key(part: str, row: GpuRow) -> str:
    """Return the identity of a measured row. It includes the part, which can add contenders to another part's row."""
    return f"{part}: {row.name}, {row.size}"
