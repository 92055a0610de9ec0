"""proof/rounding.py: a record with only the permitted roundings passes the proof; one with more roundings fails.

The record here is the loop of the proof in float64, which rounds to the nearest where a record of that kind rounds.
"""

import importlib.util

import numpy as np
import pytest

import minirnn_kernels
from minirnn_kernels.cell import CELLS
from minirnn_kernels.contract import Cache, CellKernels, Kernels
from minirnn_kernels.proof import SequenceCase, prove, prove_case
from minirnn_kernels.proof.loop import VARIANTS, reference
from minirnn_kernels.proof.rounding import Exact, Limits, Rounding, dtypes, limits, rounding_of

KERNELS = minirnn_kernels.get("numpy")
needs_bfloat16 = pytest.mark.skipif(importlib.util.find_spec("ml_dtypes") is None, reason="ml_dtypes is not installed")
KINDS = [
    pytest.param("float32", "fast", id="tf32"),
    pytest.param("float32", "high", id="3xtf32"),
    pytest.param("float16", "strict", id="float16"),
    pytest.param("bfloat16", "strict", id="bfloat16", marks=needs_bfloat16),
]


def nearest(a, bits):
    """Return a, rounded to this many significant bits."""
    mantissa, exponent = np.frexp(a)
    return np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)


class Nearest(Exact):
    """Rounding to the nearest number with this many bits; None means no rounding."""

    def __init__(self, factor=None, stored=None):
        self.bits = {"factor": factor, "stored": stored}

    def factor(self, a):
        return nearest(a, self.bits["factor"]) if self.bits["factor"] else a

    def stored(self, a):
        return nearest(a, self.bits["stored"]) if self.bits["stored"] else a


BITS = {
    ("float32", "fast"): Nearest(factor=11),
    ("float32", "high"): Nearest(factor=22),
    ("float16", "strict"): Nearest(stored=11),
    ("bfloat16", "strict"): Nearest(stored=8),
}


def record_that_rounds(dtype, rounds, spoil=lambda inputs: None):
    """Return kernels of one dtype that compute `reference` with `rounds`; spoil(inputs) can change the inputs first."""

    def results(variant, inputs, lengths, upstream=None):
        spoil(inputs)
        cell = variant.cell
        shapes = {"out": (*inputs["x"].shape[:2], inputs["h0"].shape[1])}
        given = {f"d{n}": np.zeros(shapes.get(n, inputs["h0"].shape)) for n in cell.results}
        given |= {name: a.astype(float) for name, a in (upstream or {}).items() if a is not None}
        exact = {name: a.astype(float) for name, a in inputs.items()}
        with np.errstate(all="ignore"):
            made = reference(variant, exact, given, lengths, rounds)
        return {name: a.astype(dtype) for name, a in made.items()}

    def functions_of(name):
        cell = CELLS[name]

        def forward(*arguments, nonlinearity="tanh"):
            variant = VARIANTS[f"rnn-{nonlinearity}" if name == "rnn" else name]
            *given, lengths = arguments
            inputs = dict(zip(cell.inputs, given, strict=True))
            made = results(variant, inputs, lengths)
            return *(made[n] for n in cell.results), Cache(variant, inputs, lengths)

        def backward(*arguments, keep_cache=False):
            *upstream, cache = arguments
            variant, inputs, lengths = cache.take(keep_cache)
            made = results(variant, inputs, lengths, dict(zip((f"d{n}" for n in cell.results), upstream, strict=True)))
            return tuple(made[f"d{n}"] for n in cell.inputs)

        def inference(*arguments, **options):
            return forward(*arguments, **options)[:-1]

        def step(x, *arguments, **options):
            made = forward(x[None], *arguments, None, **options)[1:-1]
            return made if len(made) > 1 else made[0]

        return CellKernels(forward, backward, inference, step)

    return Kernels(
        "rounding",
        accepts=lambda *arrays: arrays[0].dtype == np.dtype(dtype),
        gates=KERNELS.gates,
        **{name: functions_of(name) for name in CELLS},
    )


@pytest.mark.parametrize(("dtype", "rounding"), KINDS)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_permitted_roundings_pass(dtype, rounding, seed):
    prove(record_that_rounds(dtype, BITS[dtype, rounding]), seed, rounding=rounding)


@pytest.mark.parametrize(("dtype", "rounding"), KINDS)
def test_three_bits_less_are_caught(dtype, rounding):
    bits = BITS[dtype, rounding].bits
    fewer = Nearest(**{name: b and b - (3 if b < 22 else 9) for name, b in bits.items()})
    with pytest.raises(AssertionError, match="error"):
        prove(record_that_rounds(dtype, fewer), rounding=rounding, only_cells=["lstm"])


def test_tf32_is_not_strict():
    with pytest.raises(AssertionError, match=r"rounding, lstm, float32, case .*: (worst entry|error over)"):
        prove(record_that_rounds("float32", BITS["float32", "fast"]), only_cells=["lstm"])


def without_a_column(inputs):
    """Return W_hh without its last column, like a product whose loop ends one term early."""
    W = inputs["W_hh"].copy()
    W[:, -1] = 0
    return W


@pytest.mark.parametrize(("dtype", "rounding"), KINDS)
@pytest.mark.parametrize("cell", VARIANTS)
def test_a_term_less_in_a_product_is_caught(dtype, rounding, cell):
    def spoil(inputs):
        inputs["W_hh"] = without_a_column(inputs)

    with pytest.raises(AssertionError, match=rf"{cell}, {dtype}.*, case 'T=5, B=17, I=9, H=32, .*: (worst|error over)"):
        prove_case(
            record_that_rounds(dtype, BITS[dtype, rounding], spoil), cell,
            SequenceCase(T=5, B=17, I=9, H=32), dtype=np.dtype(dtype), rounding=rounding,
        )  # fmt: skip


def test_the_limits_follow_from_the_roundings():
    def double(rounds):
        return {"y": 2 * rounds.stored(np.full((40, 10), 3.0)), "nan": rounds.stored(np.full(3, np.nan))}

    assert limits(Rounding(), double, 0) == {"y": Limits(), "nan": Limits()}
    found = limits(Rounding(stored=0.01), double, 0)
    assert found["y"].entry == pytest.approx(2 * 0.06)
    assert found["y"].overall == pytest.approx(2 * 0.06)
    assert found["nan"] == Limits()


def test_rounding_goes_by_the_dtype_and_the_products():
    assert rounding_of(np.float32, "strict") == rounding_of(np.float64, "fast") == Rounding()
    assert rounding_of(np.float32, "fast").factor == 2.0**-11
    assert rounding_of(np.float16, "fast") == Rounding(stored=2.0**-11)
    with pytest.raises(ValueError, match="rounding is 'exact', expected one of 'strict', 'high', 'fast'"):
        rounding_of(np.float32, "exact")
    assert dtypes()[:3] == (np.float64, np.float32, np.float16)
