"""The shared parts of figures: learning curves per seed, and logarithmic axes with chosen ticks."""

import pytest

pytest.importorskip("matplotlib")

from minirnn import plots


def test_seeds_are_lines_of_one_look_with_one_label_in_percent():
    _, axes = plots.new_figure()
    plots.draw_seeds(axes, [[[0, 0.5], [10, 1.0]], [[0, 0.25], [10, 0.75]]], 1, "RNN")
    first, second = axes.lines
    assert list(first.get_xdata()) == [0, 10]
    assert [list(line.get_ydata()) for line in axes.lines] == [[50, 100], [25, 75]]
    assert first.get_color() == second.get_color() == plots.lines(1)["color"]
    assert axes.get_legend_handles_labels()[1] == ["RNN"]


def test_log_ticks_are_at_the_given_values_only():
    _, axes = plots.new_figure()
    axes.plot([1, 40], [0, 1])
    plots.log_ticks(axes, [1, 2.5, 40])
    assert axes.get_xscale() == "log"
    assert list(axes.get_xticks()) == [1, 2.5, 40]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2.5", "40"]
    assert len(axes.get_xticks(minor=True)) == 0


def test_lines_differ_in_dashes_and_markers():
    looks = {(plots.lines(k)["linestyle"], plots.lines(k)["marker"]) for k in range(6)}
    assert len(looks) == 6
