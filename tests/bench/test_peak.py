"""The peak: plausible rates, and a reason if there is no compiler."""

import numpy as np
import pytest

from minirnn.bench import peak
from minirnn.bench.peers import Missing


@pytest.fixture
def few(monkeypatch):
    pytest.importorskip("numba")
    if peak.library("numba").config.DISABLE_JIT:
        pytest.skip("numba's compiler is switched off")
    monkeypatch.setattr(peak, "TRIES", 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_round_does_what_is_counted(few, dtype):
    """Each accumulator starts at 1 + k/64, and x/2 + 1/2 is applied n times."""
    burn = peak._burn(dtype, peak.ACCUMULATORS, 0)
    start = 1 + np.arange(peak.ACCUMULATORS) / 64
    for n in (1, 3):
        expected = (1 + (start - 1) / 2**n).sum()
        assert burn(n, 1.0) == pytest.approx(expected, rel=1e-6)


def test_the_mix_divides_as_often_as_it_says(few):
    burn = peak._burn("float64", 0, 5)
    quotients = 1 + (peak.ACCUMULATORS + np.arange(4)) / 64
    first = quotients.copy()
    for k in range(5):
        quotients[k % 4] = 1.5 / quotients[k % 4]
    unused = (1 + np.arange(peak.ACCUMULATORS) / 64).sum()
    assert not np.allclose(first, quotients)
    assert burn(1, 1.0) == pytest.approx(unused + quotients.sum())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_compiler_leaves_every_multiply_add_and_division_in_place(few, dtype):
    """The machine code contains whole rounds of multiply-adds on whole vectors, unrolled or not."""
    if peak.vector_bytes() < 32:
        pytest.skip("written for x86 with AVX")
    burn = peak._burn(dtype, peak.ACCUMULATORS, 5)
    code = burn.inspect_asm(burn.signatures[0]).split(".Lfunc_end")[0].splitlines()
    register = "%zmm" if peak.vector_bytes() == 64 else "%ymm"
    multiply_adds = sum("vfmadd" in line and register in line for line in code)
    divisions = sum("vdivp" in line and register in line for line in code)
    assert multiply_adds > 0
    assert multiply_adds % peak.ACCUMULATORS == 0
    assert divisions * peak.ACCUMULATORS == multiply_adds * 5


def test_traffic_goes_over_the_whole_arrays(few):
    a, b, c = np.zeros(100), np.arange(100.0), np.ones(100)
    peak._triad()(a, b, c, 2)
    assert np.array_equal(a, b + 1)


def test_without_the_compiler_there_is_no_peak(monkeypatch):
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    with pytest.raises(Missing, match="NUMBA_DISABLE_JIT"):
        peak.vector_bytes()
