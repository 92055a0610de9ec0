"""Code shared by all figures: sizes, fonts, line styles that work without colour, and saving to a file."""

import contextlib
import importlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minirnn.checkpoint import write_atomically

__all__ = [
    "FORMATS",
    "MatplotlibMissing",
    "PlotError",
    "check",
    "draw_seeds",
    "lines",
    "log_ticks",
    "new_figure",
    "save",
    "style",
]

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
    "svg.hashsalt": "minirnn",  # the same figure always gives the same file
}
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P")
# The palette of Okabe and Ito, which colour-blind readers can tell apart.
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#999999")


class PlotError(ValueError):
    """A figure cannot be drawn or saved. The message gives the reason."""


class MatplotlibMissing(PlotError):
    """A figure cannot be drawn because matplotlib is not installed."""


def check(path: Path | None = None) -> None:
    """Raise PlotError if no figure can be saved as `path`, or MatplotlibMissing if none can be drawn."""
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
    """Apply the style within a `with` block, or as the decorator `@style()` within a function."""
    check()
    with importlib.import_module("matplotlib").rc_context(STYLE):
        yield


def new_figure(width: float = 7.0, height: float = 3.2, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """Return (figure, axes) of this size in inches. `options` and the form of `axes` are those of `Figure.subplots`."""
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def lines(k: int) -> dict[str, Any]:
    """Return the line style of curve number k: curves differ in dashes, markers and colours."""
    return {
        "color": COLOURS[k % len(COLOURS)],
        "linestyle": DASHES[k % len(DASHES)],
        "marker": MARKERS[k % len(MARKERS)],
        "markersize": 3.5,
        "linewidth": 1.2,
    }


def draw_seeds(axes: Any, curves: Sequence[Sequence[Sequence[float]]], k: int, label: str) -> None:
    """Draw one thin line per curve [[step, share], ...], in percent, in line style k; only the first has the label."""
    for j, curve in enumerate(curves):
        steps, shares = zip(*curve, strict=True)
        look = lines(k) | {"linewidth": 0.9, "label": None if j else label}
        axes.plot(steps, [100 * share for share in shares], **look)


def log_ticks(axes: Any, values: Sequence[float]) -> None:
    """Make the x axis logarithmic, with one labelled tick per value."""
    axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Save the figure as PNG or SVG, depending on the suffix of `path`; a failure leaves no partial file.

    Raise PlotError if the path is unsuitable or cannot be written.
    """
    target = Path(path)
    check(target)
    content = io.BytesIO()
    metadata = {"Date": None} if target.suffix.lower() == ".svg" else {"Software": None}
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # matplotlib draws a box instead
        figure.savefig(content, format=target.suffix[1:].lower(), dpi=130, metadata=metadata)
    try:
        write_atomically(target, content.getvalue())
    except OSError as error:
        raise PlotError(f"figure {target}: cannot write it: {error.strerror or error}") from None
