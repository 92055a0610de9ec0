"""Problems: their cost, and the comparison of results at the size of roundings."""

import numpy as np
import pytest

from minirnn.bench.problems import Problem, disagreement, tolerance
from minirnn.bench.sizes import named
from minirnn_kernels.cell import CELLS

SIZE = named("3x7x4x5")


def test_an_lstm_training_step_costs_24_B_T_H_times_H_plus_I():
    assert Problem("training", "lstm", SIZE).flop == 24 * 3 * 7 * 5 * (5 + 4)
    assert Problem("inference", "lstm", SIZE).flop == 8 * 3 * 7 * 5 * (5 + 4)
    assert Problem("training", "gru", SIZE).flop == 18 * 3 * 7 * 5 * (5 + 4)
    assert Problem("forward", "rnn", SIZE).flop == 2 * 3 * 7 * 5 * (5 + 4)


def test_with_lengths_only_real_steps_are_counted_and_padding_is_zero():
    problem = Problem("lengths", "gru", named("20x9x4x5"))
    assert problem.lengths.max() == 9
    assert problem.lengths.min() >= 1
    assert len(set(problem.lengths)) > 3
    assert problem.flop == 18 * problem.lengths.sum() * 5 * 9
    past = np.arange(9)[:, None] >= problem.lengths
    assert not problem.arrays["x"][past].any()
    assert not problem.arrays["dout"][past].any()
    assert problem.arrays["x"][~past].all()


def test_bytes_are_those_of_arguments_and_results():
    problem = Problem("training", "gru", SIZE, "float64")
    a = problem.arrays
    arguments = sum(a[name].nbytes for name in ("x", "W_ih", "W_hh", "b_ih", "b_hh"))
    assert problem.bytes == 2 * (arguments + 3 * 7 * 5 * 8)


@pytest.mark.parametrize("cell", CELLS)
def test_arrays_are_drawn_from_the_seed(cell):
    first, again = (Problem("training", cell, SIZE, seed=3).arrays for _ in range(2))
    other = Problem("training", cell, SIZE, seed=4).arrays
    for name, a in first.items():
        assert a.dtype == np.float32
        assert np.array_equal(a, again[name])
        assert not np.array_equal(a, other[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_tolerance_grows_with_the_root_of_the_terms(dtype):
    small, large = (tolerance(Problem("training", "lstm", named(s), dtype)) for s in ("1x1x50x29", "1x16x50x29"))
    assert small == pytest.approx(4 * np.finfo(dtype).eps * np.sqrt(101))
    assert large == pytest.approx(4 * small)


def test_disagreement_names_the_tensor_and_its_worst_entry():
    expected = {"out": np.ones((2, 3)), "dx": np.ones(4)}
    got = {name: a.copy() for name, a in expected.items()}
    assert disagreement(got, expected, 1e-6) == (0, None)
    got["dx"][2] += 3e-6
    error, words = disagreement(got, expected, 1e-6)
    assert error == pytest.approx(3)
    assert words.startswith("dx[2] is 1.000003, expected 1")
    got["dx"][2] = np.nan
    error, words = disagreement(got, expected, 1e-6)
    assert error == np.inf
    assert words.startswith("dx[2] is nan")


def test_an_error_counts_relative_to_the_largest_entry():
    expected = {"dW_hh": np.array([1000.0, 1.0])}
    assert disagreement({"dW_hh": np.array([1000.0, 1.0 + 5e-4])}, expected, 1e-6)[1] is None
    assert disagreement({"dW_hh": np.array([1000.0, 1.0 + 2e-3])}, expected, 1e-6)[1] is not None


def test_another_shape_is_a_disagreement():
    assert disagreement({"h_n": np.ones((1, 2))}, {"h_n": np.ones(2)}, 1.0)[1] == "h_n has shape (1, 2), expected (2,)"
