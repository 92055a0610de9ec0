"""The cases in which the sequences and steps of a record are proven, and the arrays of a case."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minirnn_kernels.cell import Cell
from minirnn_kernels.proof.comparison import Array, Arrays


@dataclass(frozen=True)
class SequenceCase:
    """The shapes, lengths, upstream gradients and values of one test of a sequence or of a step."""

    name: str = ""  # in messages; a case without a name is called by its sizes
    T: int = 5
    B: int = 3
    I: int = 4
    H: int = 6
    ragged: bool = False  # lengths from 1 to T - 1, so T has to be at least 2
    without: tuple[str, ...] = ()  # the upstream gradients that are None
    saturated: bool = False  # biases of +-100, so that every gate is fully shut or open
    nan: bool = False  # a NaN in one row of x, from the second step on
    strided: bool = False  # inputs that are not contiguous
    keep: bool = False  # backward is called twice, first with keep_cache=True
    step: bool = False  # a single step, whose x is the last of the T steps drawn


CASES = (
    SequenceCase("plain"),
    SequenceCase("B=0", B=0),
    SequenceCase("B=1", B=1),
    SequenceCase("T=1", T=1),
    SequenceCase("all sizes 1", T=1, B=1, I=1, H=1),
    SequenceCase("tails: sizes around a vector's", T=3, B=17, I=33, H=19),
    SequenceCase("tails in rows, though a step is whole vectors", T=3, B=8, I=5, H=7),
    SequenceCase("larger", T=24, B=9, I=16, H=32),
    SequenceCase("many terms in the weights' gradients", T=120, B=9, I=3, H=5),
    SequenceCase("lengths", T=7, B=5, ragged=True),
    SequenceCase("lengths, one row", T=4, B=1, ragged=True),
    SequenceCase("no upstream but dh_n", without=("dout", "dc_n")),
    SequenceCase("no upstream but dc_n", without=("dout", "dh_n")),
    SequenceCase("no upstream but dout", without=("dh_n", "dc_n")),
    SequenceCase("no upstream at all", without=("dout", "dh_n", "dc_n")),
    SequenceCase("lengths, no dout", T=7, B=5, ragged=True, without=("dout",)),
    SequenceCase("saturated", saturated=True),
    SequenceCase("NaN in one row", nan=True),
    SequenceCase("strided inputs", strided=True),
    SequenceCase("keep_cache", keep=True),
    SequenceCase("lengths, keep_cache", T=7, B=5, ragged=True, keep=True),
)

# With T = 2, a case with a NaN has one in the last x; W_ih has another.
STEP_CASES = tuple(
    replace(case, name=f"one step, {case.name}", T=2, step=True)
    for case in (
        SequenceCase("plain"),
        SequenceCase("B=0", B=0),
        SequenceCase("B=1", B=1),
        SequenceCase("all sizes 1", B=1, I=1, H=1),
        SequenceCase("one row, whole vectors", B=1, I=64, H=128),
        SequenceCase("one row, tails", B=1, I=37, H=101),
        SequenceCase("tails: sizes around a vector's", B=17, I=33, H=19),
        SequenceCase("larger", B=5, I=150, H=67),
        SequenceCase("saturated", saturated=True),
        SequenceCase("NaN in one row and in one unit", H=21, nan=True),
        SequenceCase("strided inputs", strided=True),
    )
)


def draw(cell: Cell, case: SequenceCase, dtype: Any, rng: np.random.Generator) -> tuple[Arrays, Arrays, Array | None]:
    """Return the inputs, the upstream gradients and the lengths of a case, with values of order 1."""
    T, B, I, H = case.T, case.B, case.I, case.H
    shapes = cell.shapes(I, H)
    inputs = {"x": rng.standard_normal((T, B, I))}
    inputs |= {name: rng.uniform(-1, 1, shapes[name]) / np.sqrt(shapes[name][1]) for name in ("W_ih", "W_hh")}
    inputs |= {f"{s}0": rng.uniform(-1, 1, (B, H)) for s in cell.states}
    inputs |= {name: rng.uniform(-0.3, 0.3, shapes[name]) for name in (*cell.biases, *cell.unit_weights)}
    if case.saturated:
        inputs |= {name: 100 * np.sign(inputs[name]) for name in cell.biases}
    upstream = {"dout": rng.standard_normal((T, B, H))}
    upstream |= {f"d{s}_n": rng.standard_normal((B, H)) for s in cell.states}
    lengths = None
    if case.ragged:
        lengths = rng.permutation(np.linspace(1, T - 1, B).astype(np.int64))
        padding = np.arange(T)[:, None] >= lengths
        inputs["x"][padding] = upstream["dout"][padding] = np.nan  # a record must not read the padding
    if case.nan:
        inputs["x"][1, B // 2, 0] = np.nan  # a row with neighbours on both sides
    if case.step:
        inputs["x"] = inputs["x"][-1]
        if case.nan:
            inputs["W_ih"][1, -1] = np.nan  # reading past the end of a row, or the wrong unit, picks up this NaN
    inputs, upstream = ({k: a.astype(dtype) for k, a in d.items()} for d in (inputs, upstream))
    if case.strided:
        inputs, upstream = ({k: np.repeat(a, 2, axis=-1)[..., ::2] for k, a in d.items()} for d in (inputs, upstream))
    for array in (*inputs.values(), *upstream.values()):
        array.flags.writeable = False
    return inputs, upstream, lengths
