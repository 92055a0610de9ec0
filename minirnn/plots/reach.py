"""Figures of the reach of gradients and of gates over time: influence matrices, decay curves and gate traces."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minirnn.plots.style import lines, new_figure, style
from minirnn_kernels.cell import CELLS

__all__ = ["SIGMOID_GATES", "draw_decay", "draw_influence", "draw_trace", "gate_traces"]

Array = np.ndarray[Any, Any]
SIGMOID_GATES = {gate for cell in CELLS.values() for gate in cell.sigmoids}  # their values are between 0 and 1


def draw_decay(axes: Any, curves: Mapping[str, Array], threshold: float = 0.01, floor: float = 1e-5) -> None:
    """Draw shares against distance: each curve is (D,) for the distances 0 … D-1, or (runs, D).

    For several runs, a line shows the median and a band the range. The vertical axis is logarithmic and starts at
    `floor`; a horizontal line marks `threshold`.
    """
    for k, (label, curve) in enumerate(curves.items()):
        runs = np.maximum(np.atleast_2d(curve), floor / 10)
        options = lines(k)
        distances = np.arange(runs.shape[1])
        every = max(1, len(distances) // 8)
        axes.plot(distances, np.median(runs, axis=0), **options, markevery=(k * every // 3, every), label=label)
        if len(runs) > 1:
            axes.fill_between(distances, runs.min(axis=0), runs.max(axis=0), color=options["color"], alpha=0.12, lw=0)
    axes.axhline(threshold, color="0.4", lw=0.8)
    axes.text(
        1, threshold, f"{threshold:.0%}", transform=axes.get_yaxis_transform(), va="bottom", ha="right", fontsize=7
    )
    axes.set(yscale="log", ylim=(floor, 4), xlim=(0, None), xlabel="distance (steps)")


def draw_influence(axes: Any, matrix: Array, labels: Sequence[str] = (), floor: float = 1e-4) -> Any:
    """Draw how strongly step t's loss (row) depends on the state of step s (column), relative to step t's own state.

    matrix (T, T). The grey scale is logarithmic, from `floor` (white) to 1 (black). labels: one word per step, shown
    under the columns. Return the image.
    """
    own = np.diagonal(matrix)[:, None]
    shares = np.divide(matrix, own, out=np.zeros_like(matrix), where=own > 0)
    shares[np.triu_indices(len(matrix), 1)] = np.nan
    colours = importlib.import_module("matplotlib.colors").LogNorm(floor, 1)
    image = axes.imshow(np.maximum(shares, floor), norm=colours, cmap="Greys", interpolation="nearest")
    _label_steps(axes, labels)
    axes.set(xlabel="state of step s", ylabel="loss of step t")
    axes.grid(False)
    return image


def draw_trace(axes: Any, values: Array, labels: Sequence[str] = (), limits: tuple[float, float] = (0, 1)) -> Any:
    """Draw a gate or state over time, (T, H), as an image of H rows and T columns. Return the image.

    The grey scale goes from the lower limit (white) to the upper one (black). labels: one word per step, shown under
    the columns.
    """
    image = axes.imshow(values.T, vmin=limits[0], vmax=limits[1], cmap="Greys", aspect="auto", interpolation="nearest")
    _label_steps(axes, labels)
    axes.set(ylabel="unit")
    axes.grid(False)
    return image


@style()
def gate_traces(gates: Mapping[str, Array], labels: Sequence[str] = (), width: float = 7.0) -> Any:
    """Return a figure with one image per gate or state, given by name as (T, H) over the same steps.

    The grey scale of the gates i, f, o, r and z is from 0 to 1; the scale of other values is symmetric and includes
    the largest. labels: one word per step, shown under the last image, and rotated if the words would overlap.
    """
    figure, grid = new_figure(width, 0.6 + 0.75 * len(gates), rows=len(gates), squeeze=False, sharex=True)
    for axes, (name, values) in zip(grid[:, 0], gates.items(), strict=True):
        largest = float(np.abs(values).max()) or 1.0
        image = draw_trace(axes, values, labels, (0.0, 1.0) if name in SIGMOID_GATES else (-largest, largest))
        axes.set_ylabel(f"{name}\nunit")
        figure.colorbar(image, ax=axes, pad=0.01, aspect=8)
    if not labels:
        grid[-1, 0].set_xlabel("step")
    return figure


def _label_steps(axes: Any, labels: Sequence[str]) -> None:
    """Write one word under each column, rotated if the words are too long to be next to each other."""
    if labels:
        rotated = max(map(len, labels)) > 1 and len(labels) * max(map(len, labels)) > 80
        axes.set_xticks(range(len(labels)), labels, rotation=90 if rotated else 0, fontsize=7)
        axes.tick_params(axis="x", length=0)
