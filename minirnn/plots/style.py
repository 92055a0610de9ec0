"""What all figures share: size, fonts, lines that can be told apart without colour, and a file written whole or not."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minirnn.checkpoint import write_atomically

__all__ = ["FORMATS", "MatplotlibMissing", "PlotError", "check", "lines", "new_figure", "save", "style"]

FORMATS = (".png", ".svg")
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.cmap": "Greys",
    "svg.hashsalt": "minirnn",  # equal figures are equal files
}
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P")
COLOURS = (
    "#000000",
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#999999",
)  # Okabe and Ito's, safe for the colour-blind


class PlotError(ValueError):
    """A figure can't be drawn or written. The message says why."""


class MatplotlibMissing(PlotError):
    """No figure can be drawn, since matplotlib isn't installed."""


def check(path: Path | None = None) -> None:
    """Before the work: PlotError if `path` is no file for a figure; MatplotlibMissing, which is one, without it."""
    if path is not None and path.suffix.lower() not in FORMATS:
        raise PlotError(f"figure {path}: expected a name that ends in {' or '.join(FORMATS)}")
    if path is not None and not path.absolute().parent.is_dir():
        raise PlotError(f"figure {path}: there is no folder {path.absolute().parent}")
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        raise MatplotlibMissing("figures need matplotlib: pip install 'minirnn[plots]'") from None


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The style, for as long as the block lasts; `@style()` before a function that draws does the same."""
    check()
    with importlib.import_module("matplotlib").rc_context(STYLE):
        yield


def new_figure(width: float = 7.0, height: float = 3.2, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """(figure, axes) of so many inches; axes as `Figure.subplots` returns them, which takes `options`."""
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def lines(k: int) -> dict[str, Any]:
    """How the k-th of several curves is drawn: dashes and markers differ, and colours where there are any."""
    return {
        "color": COLOURS[k % len(COLOURS)],
        "linestyle": DASHES[k % len(DASHES)],
        "marker": MARKERS[k % len(MARKERS)],
        "markersize": 3.5,
        "linewidth": 1.2,
    }


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write the figure as PNG or SVG, as the name ends; whole or not at all. PlotError says why not."""
    target = Path(path)
    check(target)
    content = io.BytesIO()
    metadata = {"Date": None} if target.suffix.lower() == ".svg" else {"Software": None}
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it
        figure.savefig(content, format=target.suffix[1:].lower(), dpi=130, metadata=metadata)
    try:
        write_atomically(target, content.getvalue())
    except OSError as error:
        raise PlotError(f"figure {target}: cannot write it: {error.strerror or error}") from None
