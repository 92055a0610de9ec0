"""The gates alone: correct gates pass, wrong ones are named, and repeated calls in place keep ordinary numbers."""

from dataclasses import replace

import numpy as np
import pytest

import minirnn_kernels
from minirnn.bench import peak
from minirnn.bench.peers import Missing
from minirnn.bench.pointwise import COUNTS, PointwiseProblem, bound, check, contender
from minirnn.bench.sizes import Size
from minirnn_kernels.cell import CELLS
from tests.doubles.records import function_of, with_function

SIZE = Size("5x7", 5, 1, 0, 7, "a test")
KINDS = [(cell, backward) for cell in CELLS for backward in (False, True)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cell", "backward"), KINDS)
def test_numpys_gates_are_right(cell, backward, dtype):
    error, words = check(minirnn_kernels.get("numpy"), PointwiseProblem(cell, backward, SIZE, dtype))
    assert words is None
    assert error < 1


@pytest.mark.parametrize(("cell", "backward"), KINDS)
def test_a_wrong_entry_is_named(cell, backward):
    record = minirnn_kernels.get("numpy")
    path = f"{cell}.{'backward' if backward else 'forward'}"
    right = function_of(record.gates, path)

    def wrong(*arguments):
        right(*arguments)
        arrays = [a for a in arguments if isinstance(a, np.ndarray)]
        changed = arrays[0] if len(arrays) == 1 else arrays[-1]  # the result written last: h, da; for the RNN dh
        changed[..., 3] *= 1.001

    planted = replace(record, gates=with_function(record.gates, path, wrong))
    _, words = check(planted, PointwiseProblem(cell, backward, SIZE))
    assert words is not None
    assert words.split("[")[0] in ("h", "da")


@pytest.mark.parametrize(("cell", "backward"), KINDS)
def test_repeated_calls_keep_ordinary_numbers(cell, backward):
    """Gradients that shrink in place would become subnormal and make further calls slow."""
    timed = contender(minirnn_kernels.get("numpy"), PointwiseProblem(cell, backward, SIZE))
    for _ in range(400):
        made = timed.results(timed.run())
    for a in made.values():
        assert np.isfinite(a).all()
        assert np.abs(a[a != 0]).min(initial=1) > np.finfo(np.float32).tiny
    assert any(a.any() for a in made.values())


def test_the_bound_is_the_larger_of_two(monkeypatch):
    problem = PointwiseProblem("lstm", False, SIZE)
    monkeypatch.setattr(peak, "mix_seconds", lambda dtype, threads, multiply_adds, divisions: 1e-9 * multiply_adds)
    monkeypatch.setattr(peak, "traffic", lambda working_set, dtype, threads: 1e9)
    found = bound(problem, 1)
    assert found["traffic"] == pytest.approx(11 * 35 * 4 / 1e9)
    assert found["instructions"] == pytest.approx(35 * (5 * 10 + 3) * 1e-9)
    assert (found["by"], found["seconds"]) == ("instructions", found["instructions"])
    monkeypatch.setattr(peak, "traffic", lambda working_set, dtype, threads: 1e8)
    assert bound(problem, 1)["by"] == "traffic"


def test_words_count_the_arguments():
    assert COUNTS["lstm", False].words == 4 + 4 + 3
    assert PointwiseProblem("gru", True, SIZE, "float64").bytes == 11 * 35 * 8


def test_a_record_without_gates_is_missing():
    record = replace(minirnn_kernels.get("numpy"), name="none", gates=None)
    with pytest.raises(Missing, match="none has no gates"):
        contender(record, PointwiseProblem("lstm", False, SIZE))
