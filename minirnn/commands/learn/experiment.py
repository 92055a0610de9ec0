"""`minirnn experiment`: run an experiment of the course, print its numbers, and save them with a figure."""

import contextlib
import datetime
import inspect
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from minirnn import course, plots
from minirnn.checkpoint import write_atomically
from minirnn.commands.output import make_folder, say
from minirnn.language import ConfigError, one_blas_thread
from minirnn.machine import cpu_model

__all__ = ["conclusion", "list_all", "run"]


def list_all(console: Console) -> None:
    """Print the name and the claim of each experiment."""
    table = Table("name", "claim", box=None, pad_edge=False)
    for name in course.EXPERIMENTS:
        table.add_row(name, course.find(name).CLAIM)
    console.print(table)


def run(name: str, effort: course.Effort, seed: int, out: Path, suffix: str, console: Console) -> None:
    """Run an experiment, print its claim, tables and conclusion, and write NAME.json and NAME`suffix` into `out`."""
    if name not in course.EXPERIMENTS:
        raise ConfigError(f"experiment: expected one of {', '.join(course.EXPERIMENTS)}, got {name!r}")
    experiment = course.find(name)
    make_folder(out)
    data, figure = out / f"{name}.json", out / f"{name}{suffix}"
    drawable = True
    try:
        plots.check(figure)
    except plots.MatplotlibMissing:
        drawable = False
    say(console, f"{name}: {experiment.CLAIM}")
    say(console, f"  source: {experiment.SOURCE}")
    began = time.perf_counter()
    with _bar(console) as progress, one_blas_thread():
        outcome = experiment.run(effort, seed, progress)
    document = {
        "experiment": name,
        "claim": experiment.CLAIM,
        "source": experiment.SOURCE,
        "about": inspect.getdoc(experiment) or "",
        "command": " ".join(["minirnn experiment", name, *([] if effort == "default" else [f"--{effort}"])])
        + (f" --seed {seed}" if seed else ""),
        "effort": effort,
        "seed": seed,
        "date": datetime.date.today().isoformat(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "seconds": round(time.perf_counter() - began, 1),
        "measured": outcome.measured,
        "verdict": outcome.verdict,
        "why": outcome.why,
        "numbers": outcome.numbers,
    }
    numbers = _stored(document, data)
    for table in experiment.tables(numbers):
        console.print(_rich(table))
    if drawable:
        plots.save(experiment.draw(numbers), figure)
    say(console, f"written: {data}" + (f", {figure}" if drawable else "; for the figure: pip install 'minirnn[plots]'"))
    if outcome.why:
        say(console, outcome.why)
    say(console, conclusion(document))


def conclusion(document: dict[str, Any]) -> str:
    """Return the last line of the output: the claim, the measurement and the verdict."""
    return f"claim: {document['claim']} Measured: {document['measured']} Verdict: {document['verdict']}."


def _stored(document: dict[str, Any], file: Path) -> Any:
    """Write the document, one line per key. Return the numbers as they are after reading the file."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in document.items()]
    text = "{" + ",\n ".join(lines) + "}"
    try:
        write_atomically(file, f"{text}\n".encode())
    except OSError as error:
        raise ConfigError(f"{file}: cannot write it: {error.strerror or error}") from None
    return json.loads(text)["numbers"]


def _rich(table: course.Table) -> Table:
    shown = Table(title=table.title, title_justify="left")
    for k, word in enumerate(table.header):
        shown.add_column(word, justify="left" if k == 0 else "right")
    for row in table.rows:
        shown.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row))
    return shown


@contextlib.contextmanager
def _bar(console: Console) -> Iterator[course.Progress]:
    """Yield the callback for an experiment's progress: a bar on a terminal, nothing elsewhere."""
    columns = (
        BarColumn(30),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, refresh_per_second=5, disable=hidden) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda done, what: bar.update(task, completed=done, description=what)
