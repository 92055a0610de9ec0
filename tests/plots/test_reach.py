"""The figures of the gradients' reach show the given arrays."""

import numpy as np
import pytest

from minirnn import plots

pytest.importorskip("matplotlib")


def test_a_decay_shows_the_median_of_its_runs_and_the_threshold():
    runs = 0.5 ** (np.arange(6) * np.array([[1], [2], [3]]))
    figure, axes = plots.new_figure()
    plots.draw_decay(axes, {"three": runs, "one": runs[0]}, threshold=0.05)
    three, one, threshold = axes.lines
    np.testing.assert_array_equal(three.get_ydata(), np.maximum(runs[1], 1e-6))
    np.testing.assert_array_equal(one.get_ydata(), runs[0])
    assert list(threshold.get_ydata()) == [0.05, 0.05]
    assert axes.get_yscale() == "log"
    assert figure


def test_an_influence_matrix_is_shown_relative_to_its_diagonal():
    matrix = np.tril(0.1 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))) * np.array([[2], [1], [0], [3]])
    _, axes = plots.new_figure()
    image = plots.draw_influence(axes, matrix, list("abcd"), floor=1e-2)
    shown = np.asarray(image.get_array().filled(np.nan))
    np.testing.assert_allclose(shown[1, :2], [0.1, 1])
    np.testing.assert_allclose(shown[3], [1e-2, 1e-2, 0.1, 1])  # raised to the floor
    np.testing.assert_allclose(shown[2, :3], 1e-2)  # a step without a loss
    assert np.isnan(shown[0, 1:]).all()
    assert [label.get_text() for label in axes.get_xticklabels()] == list("abcd")


def test_gate_traces_have_a_row_for_each_gate_and_a_word_for_each_step():
    rng = np.random.default_rng(0)
    gates = {"f": rng.random((5, 3)), "c": rng.standard_normal((5, 3))}
    words = ["what", "is", "my", "name", "?"]
    figure = plots.gate_traces(gates, words)
    f, c = figure.axes[:2]
    np.testing.assert_array_equal(f.images[0].get_array(), gates["f"].T)
    assert f.images[0].get_clim() == (0, 1)
    largest = np.abs(gates["c"]).max()
    assert c.images[0].get_clim() == (-largest, largest)
    assert [label.get_text() for label in c.get_xticklabels()] == words
