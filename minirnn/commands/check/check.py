"""`minirnn check`: every cell's gradients before every judge; `minirnn check FILE`: somebody's file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from minirnn.commands.check import selfcheck
from minirnn.gradcheck import Sweep
from minirnn.language.training import ConfigError

__all__ = ["check", "check_file"]


def check(console: Console, seed: int = 0) -> bool:
    """Print the table, and the full report of what didn't pass; True if everything did."""
    results = list(selfcheck.run(seed))
    console.print(table(results))
    for result in results:
        if not result.report:
            head = f"\n{result.cell}, {result.dtype}, {result.judge}:\n"
            console.print(head + str(result.report), markup=False, highlight=False, soft_wrap=True)
    passed = sum(bool(result.report) for result in results)
    console.print(f"{passed} of {len(results)} verdicts are PASS (seed {seed})", highlight=False)
    return passed == len(results)


def check_file(
    path: Path,
    seed: int,
    hint: int,
    as_json: bool,
    gates: str | None,
    quick: bool,
    truncate: int,
    only: str | None,
    sweep: str | None,
) -> int:
    """Print what is right and wrong in a file; the exit code: 0 all right, 1 something wrong, 2 it can't be judged.

    Raises ConfigError for options that make no sense, or a file that isn't there.
    """
    from minirnn import assignments

    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    try:
        report = assignments.check_file(path, seed, gates, truncate, quick, only)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if as_json:
        print(json.dumps(assignments.as_dict(report, hint), indent=2))
    else:
        print(assignments.text(report, hint))
    if sweep is not None:
        _sweep(path, seed, only, sweep)
    return report.exit_code


def _sweep(path: Path, seed: int, only: str | None, target: str) -> None:
    """Print the curves, or draw each into a PNG: of several, the task's name goes into the file's."""
    from minirnn import assignments

    try:
        curves = assignments.sweep_file(path, seed, only)
        for task, curve in curves:
            if target == "-":
                print(f"\n{task}: {curve.text()}", file=sys.stderr)
                continue
            name = Path(target)
            file = name if len(curves) == 1 else name.with_stem(f"{name.stem}-{task}")
            _draw(curve, file)
            print(f"drawn: {file}", file=sys.stderr)
    except assignments.CannotLoad as error:
        raise ConfigError(f"--sweep: {error}") from None
    except ImportError:
        raise ConfigError("--sweep into a PNG needs matplotlib: pip install matplotlib, or give - for text") from None
    except OSError as error:
        raise ConfigError(f"--sweep {target}: {error.strerror}") from None


def _draw(curve: Sweep, path: Path) -> None:
    """Write a PNG, first to a temporary file and then renamed. Raise ImportError without matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    labels = {"xlabel": "step of the central difference", "ylabel": "relative error"}
    axes = figure.add_subplot(xscale="log", yscale="log", **labels)
    for name, errors in curve.errors.items():
        axes.plot(curve.steps, np.maximum(errors, 1e-17), marker=".", label=name)
    axes.legend()
    beside = path.with_name(path.name + ".part")
    figure.savefig(beside, format="png", dpi=120)
    os.replace(beside, path)


def table(results: Iterable[selfcheck.Result]) -> Table:
    """A row for each cell and dtype, a column for each judge: verdict and largest error relative to the gradient."""
    found = Table(title="hand-written gradients, worst relative error against each judge", title_justify="left")
    for name in ("cell", "dtype", *selfcheck.JUDGES):
        found.add_column(name)
    for (cell, dtype), group in groupby(results, lambda result: (result.cell, result.dtype)):
        found.add_row(cell, dtype, *(_verdict(result) for result in group))
    return found


def _verdict(result: selfcheck.Result) -> str:
    colour = "green" if result.report else "red"
    return f"[{colour}]{result.report.verdict}[/{colour}] {result.error:.1e}"
