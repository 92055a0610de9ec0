"""Attention as a matrix with words on its axes, and beside it what the network's states and gates did at each word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minirnn.plots.style import new_figure, style

__all__ = ["attention_and_states", "draw_attention"]

Array = np.ndarray[Any, Any]
CELL, STRIP = 0.125, 0.7  # inches: a word's row or column, and the width of a state's strip
LONGEST_LABEL = 14  # characters
FROM_0_TO_1 = ("i", "f", "o", "r", "z")  # gates; the other names are states


def draw_attention(axes: Any, weights: Array, rows: Sequence[str], columns: Sequence[str]) -> Any:
    """Attention weights (R, C) from 0 (white) to 1 (black), a word for each row and each column; returns the image.

    Hatched where a weight is NaN: what wasn't to be seen. ValueError if the words don't fit the weights.
    """
    weights = np.asarray(weights)
    if weights.shape != (len(rows), len(columns)):
        raise ValueError(f"weights: expected shape {(len(rows), len(columns))}, that of the words, got {weights.shape}")
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
    """A figure that runs down the page: a row for each of T words that a network read.

    weights (T, R): a column for each of R words that it said, with the attention that it gave to the T; see
    `draw_attention`. Beside it the states and gates by name, (T, H) each, as strips H units wide: gates from 0 to 1,
    others from minus to plus what 99% of their values stay within. Rows may be NaN. starts: rows that begin something
    new; a line is drawn above them. ValueError for shapes that don't fit.
    """
    if wrong := [f"{name} {values.shape}" for name, values in states.items() if len(values) != len(words)]:
        raise ValueError(f"states: expected a row for each of {len(words)} words, got {', '.join(wrong)}")
    beside = [STRIP if weights is not None else 2 * STRIP] * len(states)
    ratios = beside if weights is None else [max(CELL * len(said), 2.5), *beside]
    figure, grid = new_figure(
        sum(ratios) + 1.3,
        CELL * len(words) + 1.9,
        columns=len(ratios),
        squeeze=False,
        sharey=True,
        width_ratios=ratios,
    )
    panels = list(grid[0])
    if weights is not None:
        axes = panels.pop(0)
        image = draw_attention(axes, weights, words, said)
        axes.set_title("attention of each word said (column)\nto the words before it (rows)")
        figure.colorbar(image, ax=axes, location="bottom", aspect=30, pad=0.01, label="weight")
    for axes, (name, values) in zip(panels, states.items(), strict=True):
        _strip(axes, name, values)
    if weights is None:
        _label(grid[0, 0].yaxis, words)
    for axes in grid[0]:
        for start in starts:
            axes.axhline(start - 0.5, color="0.3", lw=0.6)
    labels = grid[0, 0].get_yticklabels()
    for start in starts:
        labels[start].set_fontweight("bold")
    figure.suptitle(title, fontsize=9)
    return figure


def _strip(axes: Any, name: str, values: Array) -> None:
    limit = float(np.nanquantile(np.abs(values), 0.99)) or 1.0
    low, high = (0.0, 1.0) if name in FROM_0_TO_1 else (-limit, limit)
    axes.imshow(values, vmin=low, vmax=high, cmap="Greys", aspect="auto", interpolation="nearest")
    axes.set_title(name)
    axes.set(xticks=[], xlabel=f"{values.shape[1]} units\nwhite {low:.2g}\nblack {high:.2g}")
    axes.tick_params(axis="y", length=0)
    axes.grid(False)


def _label(axis: Any, words: Sequence[str], **options: Any) -> None:
    short = [word if len(word) <= LONGEST_LABEL else word[: LONGEST_LABEL - 1] + "…" for word in words]
    axis.set_ticks(range(len(words)), short, fontsize=7, parse_math=False, **options)
