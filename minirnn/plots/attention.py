"""Attention as a matrix with words on its axes, next to the states and gates of the network at each word."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minirnn.plots.reach import SIGMOID_GATES
from minirnn.plots.style import new_figure, style

__all__ = ["attention_and_states", "draw_attention"]

Array = np.ndarray[Any, Any]
WORD_INCHES, STRIP_INCHES = 0.125, 0.7  # the size of a word's row or column, and the width of a state's image
LONGEST_LABEL = 14  # characters


def draw_attention(axes: Any, weights: Array, rows: Sequence[str], columns: Sequence[str]) -> Any:
    """Draw attention weights (R, C), from 0 (white) to 1 (black), with a word per row and column. Return the image.

    Hatching marks weights that are NaN: positions that were masked. Raise ValueError if the numbers of words do not
    match the weights.
    """
    weights = np.asarray(weights)
    if weights.shape != (len(rows), len(columns)):
        raise ValueError(
            f"weights: expected shape {(len(rows), len(columns))} for this many words, got {weights.shape}"
        )
    axes.patch.set(hatch="//////", edgecolor="0.85", linewidth=0)
    image = axes.imshow(weights, vmin=0, vmax=1, cmap="Greys", aspect="auto", interpolation="nearest")
    _label(axes.yaxis, rows)
    _label(axes.xaxis, columns, rotation=90)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.grid(False)
    return image


@style()
def attention_and_states(
    states: Mapping[str, Array],
    words: Sequence[str],
    weights: Array | None = None,
    said: Sequence[str] = (),
    starts: Sequence[int] = (),
    title: str = "",
) -> Any:
    """Return a figure with one row for each of the T words that a network read.

    states: the states and gates by name, (T, H) each, drawn as images H units wide. The grey scale of gates is from 0
        to 1; the scale of states is symmetric and covers 99% of their values. Rows can be NaN.
    weights (T, R): the attention that each of the R words in `said` paid to the T words; see `draw_attention`.
    starts: the rows that begin a new part; a line is drawn above each.

    Raise ValueError if shapes do not match.
    """
    if wrong := [f"{name} {values.shape}" for name, values in states.items() if len(values) != len(words)]:
        raise ValueError(f"states: expected a row for each of {len(words)} words, got {', '.join(wrong)}")
    ratios = [STRIP_INCHES if weights is not None else 2 * STRIP_INCHES] * len(states)
    if weights is not None:
        ratios.insert(0, max(WORD_INCHES * len(said), 2.5))
    figure, grid = new_figure(
        sum(ratios) + 1.3,
        WORD_INCHES * len(words) + 1.9,
        columns=len(ratios),
        squeeze=False,
        sharey=True,
        width_ratios=ratios,
    )
    first, panels = grid[0, 0], list(grid[0])
    if weights is None:
        _label(first.yaxis, words)
    else:
        image = draw_attention(panels.pop(0), weights, words, said)
        first.set_title("attention of each word said (column)\nto the words before it (rows)")
        figure.colorbar(image, ax=first, location="bottom", aspect=30, pad=0.01, label="weight")
    for axes, (name, values) in zip(panels, states.items(), strict=True):
        _draw_state(axes, name, values)
    for start in starts:
        for axes in grid[0]:
            axes.axhline(start - 0.5, color="0.3", lw=0.6)
        first.get_yticklabels()[start].set_fontweight("bold")
    figure.suptitle(title, fontsize=9)
    return figure


def _draw_state(axes: Any, name: str, values: Array) -> None:
    limit = float(np.nanquantile(np.abs(values), 0.99)) or 1.0
    low, high = (0.0, 1.0) if name in SIGMOID_GATES else (-limit, limit)
    axes.imshow(values, vmin=low, vmax=high, cmap="Greys", aspect="auto", interpolation="nearest")
    axes.set(title=name, xticks=[], xlabel=f"{values.shape[1]} units\nwhite {low:.2g}\nblack {high:.2g}")
    axes.tick_params(axis="y", length=0)
    axes.grid(False)


def _label(axis: Any, words: Sequence[str], **options: Any) -> None:
    short = [word if len(word) <= LONGEST_LABEL else word[: LONGEST_LABEL - 1] + "…" for word in words]
    axis.set_ticks(range(len(words)), short, fontsize=7, parse_math=False, **options)
