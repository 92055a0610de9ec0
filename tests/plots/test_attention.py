"""Attention figures: words on the axes, weights in the image, and errors for shapes that do not match."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from minirnn import plots

WEIGHTS = np.array([[0.1, 0.9, 0.3], [np.nan, 0.1, 0.7]])
STATES = {"h": np.array([[-2.0, 0.5, 1.0, 0.0], [0.0, 0.0, 0.0, 2.0]]), "f": np.full((2, 4), 0.5)}


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_a_row_and_a_column_for_each_word():
    figure, axes = plots.new_figure()
    image = plots.draw_attention(axes, WEIGHTS, ["your", "name"], ["what", "is", "it"])
    assert labels(axes.yaxis) == ["your", "name"]
    assert labels(axes.xaxis) == ["what", "is", "it"]
    np.testing.assert_array_equal(image.get_array().filled(np.nan), WEIGHTS)
    assert image.get_clim() == (0, 1)
    assert axes.get_ylim() == (1.5, -0.5)  # the first row on top
    assert figure.axes == [axes]


@pytest.mark.parametrize(("rows", "columns"), [(["one"], ["a", "b", "c"]), (["a", "b", "c"], ["one", "two"])])
def test_words_that_do_not_match_the_weights_are_rejected(rows, columns):
    _, axes = plots.new_figure()
    with pytest.raises(ValueError, match=r"weights: expected shape .* got \(2, 3\)"):
        plots.draw_attention(axes, WEIGHTS, rows, columns)


def test_long_words_are_cut_and_signs_are_not_parsed_as_formulas(tmp_path):
    _, axes = plots.new_figure()
    plots.draw_attention(axes, WEIGHTS, ["x" * 40, "$a$"], ["$", "\\frac", "^"])
    assert labels(axes.yaxis) == ["x" * 13 + "…", "$a$"]
    plots.save(axes.figure, tmp_path / "figure.png")


def test_scripts_that_the_font_lacks_are_drawn_without_a_warning(tmp_path):
    _, axes = plots.new_figure()
    plots.draw_attention(axes, WEIGHTS, ["你好", "ok"], ["한국", "a", "b"])
    plots.save(axes.figure, tmp_path / "figure.png")


def test_states_are_next_to_the_words_each_with_its_own_scale():
    figure = plots.attention_and_states(STATES, ["hi", "bot:"], WEIGHTS, ["a", "b", "c"], [1], "A title")
    attention, h, f = figure.axes[:3]
    assert labels(attention.yaxis) == ["hi", "bot:"]
    np.testing.assert_array_equal(h.images[0].get_array(), STATES["h"])
    low, high = h.images[0].get_clim()
    assert -low == high == pytest.approx(2, rel=0.1)
    assert f.images[0].get_clim() == (0, 1)
    assert [axes.lines[0].get_ydata()[0] for axes in (attention, h, f)] == [0.5, 0.5, 0.5]
    assert [label.get_fontweight() for label in attention.get_yticklabels()] == ["normal", "bold"]
    assert figure.get_suptitle() == "A title"


def test_without_attention_the_words_label_the_first_state():
    figure = plots.attention_and_states(STATES, ["hi", "bot:"])
    assert len(figure.axes) == 2
    assert labels(figure.axes[0].yaxis) == ["hi", "bot:"]


def test_states_of_another_length_are_rejected():
    with pytest.raises(ValueError, match=r"a row for each of 3 words, got h \(2, 4\), f \(2, 4\)"):
        plots.attention_and_states(STATES, ["a", "b", "c"])
