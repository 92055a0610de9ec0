"""`minirnn check`: check the gradients of minirnn's own cells. `minirnn check FILE`: check an assignment's file."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from minirnn.checkpoint import write_atomically
from minirnn.commands.check import selfcheck
from minirnn.gradcheck import Sweep
from minirnn.language.training import ConfigError

__all__ = ["FileOptions", "check", "check_file"]


@dataclass(frozen=True)
class FileOptions:
    """The options of `minirnn check FILE`."""

    seed: int = 0  # of the random inputs
    hint: int = 4  # how much to say, from 0 (pass or fail) to 4 (the mistake)
    as_json: bool = False
    gates: str | None = None  # the order of the gates' blocks; None: the order of the course
    quick: bool = False  # fewer probes
    truncate: int = 0  # the gradient should be cut off every `truncate` steps; 0: not cut off
    sweep: str | None = None  # the PNG file for the curves of error against step size; "-": print them
    only: str | None = None  # the name of an assignment or a task; None: all


def check(console: Console, seed: int = 0) -> bool:
    """Print a table of all verdicts, and the reports of those that aren't PASS. Return True if all are PASS."""
    results = list(selfcheck.run(seed))
    console.print(table(results))
    for result in results:
        if not result.report:
            head = f"\n{result.cell}, {result.dtype}, {result.judge}:\n"
            console.print(head + str(result.report), markup=False, highlight=False, soft_wrap=True)
    passed = sum(bool(result.report) for result in results)
    console.print(f"{passed} of {len(results)} verdicts are PASS (seed {seed})", highlight=False)
    return passed == len(results)


def check_file(path: Path, options: FileOptions) -> int:
    """Print what is right and wrong in a file. Return the exit code: 0 all right, 1 wrong, 2 can't be judged.

    Raises ConfigError for impossible options and for a file that doesn't exist.
    """
    from minirnn import assignments

    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    try:
        report = assignments.check_file(
            path, options.seed, options.gates, options.truncate, options.quick, options.only
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if options.as_json:
        print(json.dumps(assignments.as_dict(report, options.hint), indent=2))
    else:
        print(assignments.text(report, options.hint))
    if options.sweep is not None:
        _sweep(path, options.seed, options.only, options.sweep)
    return report.exit_code


def _sweep(path: Path, seed: int, only: str | None, target: str) -> None:
    """Print the curves, or draw each into a PNG file. With several curves, the file name gets the name of the task."""
    from minirnn import assignments

    try:
        curves = assignments.sweep_file(path, seed, only)
        for task, curve in curves:
            if target == "-":
                print(f"\n{task}: {curve.text()}", file=sys.stderr)
                continue
            name = Path(target)
            file = name if len(curves) == 1 else name.with_stem(f"{name.stem}-{task}")
            write_atomically(file, _drawn(curve))
            print(f"drawn: {file}", file=sys.stderr)
    except assignments.CannotLoad as error:
        raise ConfigError(f"--sweep: {error}") from None
    except ImportError:
        raise ConfigError(
            "--sweep into a PNG needs matplotlib: pip install matplotlib, or use --sweep - for text"
        ) from None
    except OSError as error:
        raise ConfigError(f"--sweep {target}: {error.strerror}") from None


def _drawn(curve: Sweep) -> bytes:
    """Return a PNG of the curves. Raises ImportError without matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    labels = {"xlabel": "step of the central difference", "ylabel": "relative error"}
    axes = figure.add_subplot(xscale="log", yscale="log", **labels)
    for name, errors in curve.errors.items():
        axes.plot(curve.steps, np.maximum(errors, 1e-17), marker=".", label=name)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def table(results: Iterable[selfcheck.Result]) -> Table:
    """Return a table with a row for each cell and dtype, and each judge's verdict and largest relative error."""
    found = Table(title="hand-written gradients, worst relative error against each judge", title_justify="left")
    for name in ("cell", "dtype", *selfcheck.JUDGES):
        found.add_column(name)
    for (cell, dtype), group in groupby(results, lambda result: (result.cell, result.dtype)):
        found.add_row(cell, dtype, *(_verdict(result) for result in group))
    return found


def _verdict(result: selfcheck.Result) -> str:
    colour = "green" if result.report else "red"
    return f"[{colour}]{result.report.verdict}[/{colour}] {result.error:.1e}"
