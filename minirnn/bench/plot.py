"""Draw a benchmark's document as a roofline and a chart of ratios, readable without colours."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.bench.errors import BenchError

__all__ = ["check", "draw"]

MARKERS, HATCHES = "os^Dv<>P", ("", "///", "...", "xx", "\\\\\\", "++", "oo", "--")
SUFFIXES = (".png", ".svg", ".pdf")


def check(path: Path) -> None:
    """Raise BenchError if this file can't be written as a figure; called before anything is measured."""
    if path.suffix not in SUFFIXES:
        raise BenchError(f"--plot {path}: expected a name that ends in {', '.join(SUFFIXES)}")
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        raise BenchError("--plot needs matplotlib: pip install 'minirnn[plots]'") from None


def draw(document: dict[str, Any], path: Path) -> None:
    """Write the figure to `path` atomically. Raises OSError if the file can't be written."""
    figure_module = importlib.import_module("matplotlib.figure")
    rows = [row for row in document["rows"] if row["ours"] in row["times"]]
    figure = figure_module.Figure(figsize=(11, 2.5 + max(3.0, 0.28 * len(rows))), layout="constrained")
    roof, bars = figure.subplots(1, 2)
    _roofline(roof, document, rows)
    _ratios(bars, rows)
    machine = document["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['date'][:10]}", fontsize=10)
    temporary = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        figure.savefig(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _roofline(axes: Any, document: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Draw GFLOP/s over flop per byte, with a roof for each number of threads and dtype."""
    products = [row for row in rows if row["flop"]]
    intensity = [row["flop"] / row["bytes"] for row in products]
    reach = np.geomspace(min([1.0, *intensity]) / 2, max([100.0, *intensity]) * 2, 200)
    for k, run in enumerate(document["runs"]):
        memory = run["traffic"].get(str(2**28))
        for dtype, peak in run["flops"].items():
            roof = np.minimum(peak, reach * memory) if memory else np.full_like(reach, peak)
            label = f"peak, {dtype}, {run['threads']} thread{'s' * (run['threads'] > 1)}"
            axes.plot(reach, roof / 1e9, color="black", linestyle=("-", "--", ":", "-.")[k % 4], label=label)
    kinds = list(dict.fromkeys((row["cell"], row["what"], row["threads"]) for row in products))
    for k, kind in enumerate(kinds):
        of_kind = [row for row in products if (row["cell"], row["what"], row["threads"]) == kind]
        axes.plot(
            [row["flop"] / row["bytes"] for row in of_kind],
            [row["times"][row["ours"]]["gflops"] for row in of_kind],
            linestyle="none", marker=MARKERS[k % len(MARKERS)], markerfacecolor="white", color="black",
            label=f"{kind[0]} {kind[1]}, {kind[2]} thread{'s' * (kind[2] > 1)}",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="flop per byte of necessary traffic", ylabel="GFLOP/s")
    axes.grid(True, which="both", color="0.9")
    if products:
        axes.legend(fontsize=7)


def _ratios(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Draw a bar for each peer in each row, on a logarithmic axis around 1."""
    peers = list(dict.fromkeys(name for row in rows for name in row["ratios"]))
    height = 0.8 / max(1, len(peers))
    for k, peer in enumerate(peers):
        at = [
            (i + (k + 0.5) * height - 0.4, row["ratios"][peer]) for i, row in enumerate(rows) if peer in row["ratios"]
        ]
        median = np.array([ratio["median"] for _, ratio in at])
        spread = np.array([[max(0.0, r["median"] - r["q1"]), max(0.0, r["q3"] - r["median"])] for _, r in at]).T
        axes.barh(
            [y for y, _ in at], median - 1, height, left=1, xerr=spread, label=f"{peer} / ours",
            color=str(0.35 + 0.6 * (k + 1) / (len(peers) + 1)), edgecolor="black", hatch=HATCHES[k % len(HATCHES)],
            error_kw={"elinewidth": 0.8},
        )  # fmt: skip
    names = [f"{row['cell']} {row['what']} {row['size']['name']} ({row['threads']})" for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axvline(1, color="black")
    axes.set_xlabel("their time / ours (above 1: we are faster), with quartiles")
    if peers:
        axes.legend(fontsize=7)
