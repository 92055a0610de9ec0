"""The document of a benchmark, as a table and as JSON.

Schema "minirnn-bench 1"; times in seconds, rates per second unless the name says otherwise:

    schema, seed      a text and a number; all arrays are drawn from the seed
    command           the command line, if a command measured
    machine           date (UTC), cpu, architecture, cores, simd, system, python, versions {package: version},
                      blas [each loaded BLAS with its kernels and threads], load (of the last minute, at the end)
    runs              one for each number of threads, each measured in its own process:
        threads
        others        the share of all cores' time that other programs took, 0 to 1; null where unknown
        flops         {dtype: the highest rate of multiplications and additions in registers}
        traffic       {bytes of the arrays: bytes per second read and written}
        reason        why there is no peak, or null
        proofs        {record: null, or the message of a failed proof}
    rows              one for each problem:
        what          gates, gates backward, forward, inference, training, step, lengths
        cell, dtype, threads
        size          {name, B, T, I, H, origin}
        ours          the record that the ratios refer to
        flop          of the matrix products (0 for gates); for step, of all its T steps
        bytes         the minimum traffic: every argument read once, every result written once
        tolerance     of an error relative to the largest entry (null for gates, see `pointwise.check`)
        others        as for the run, during this row
        peak          multiplications and additions per second, the median of calls interleaved with the contenders;
                      of_peak refers to it; null for gates
        times         {contender: {samples, median, q1, q3, gflops, of_peak}}; a step's times are for one step
        ratios        {contender: {median, q1, q3}}: its median / ours; quartiles of the ratio over the rounds
        errors        {contender: worst error / tolerance}
        refused       {contender: what is wrong}; it was not timed
        missing       {contender: the reason why it was not measured}
        bound         for gates: {seconds, by, traffic, instructions}, see `pointwise.bound`
    summaries         {what, cell, dtype, threads, ours, peer, geometric_mean, least, sizes}, over the ratios of the
                      sizes; the peer "best" is the fastest library at each size
    phases            see `phases.measure`
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from minirnn.bench.suite import refusals

__all__ = ["duration", "show", "write"]

Row = dict[str, Any]


def show(console: Console, document: dict[str, Any]) -> None:
    """Print the document to a terminal."""
    machine = document["machine"]
    console.print(f"{machine['cpu']}, {machine['cores']} cores; {machine['date']}; seed {document['seed']}", **PLAIN)
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    console.print(f"{versions}; {'; '.join(machine['blas'])}", **PLAIN)
    for run in document["runs"]:
        console.print(_roof(run), **PLAIN)
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in document["rows"]:
        groups.setdefault((row["cell"], row["what"], row["dtype"], row["threads"]), []).append(row)
    for key, rows in groups.items():
        cell, what, dtype, threads = key
        console.print(f"\n{cell} {what}, {dtype}, {threads} thread{'s' * (threads > 1)}; ×: theirs / ours", **PLAIN)
        console.print(_table(rows))
        for line in _summary_lines(document, key):
            console.print(line, **PLAIN)
    if document.get("phases"):
        console.print(_phases(document["phases"]))
    for line in _missing(document["rows"]):
        console.print(line, **PLAIN)
    for line in refusals(document):
        console.print(f"[red]WRONG, not timed:[/red] {line}", highlight=False, soft_wrap=True)


DISTURBED = 0.03  # share of the cores; a larger share taken by other programs is reported
PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


def duration(seconds: float) -> str:
    """Return a time with three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def write(path: Path, document: dict[str, Any]) -> None:
    """Write the document as JSON, atomically. Raises OSError if the file can't be written."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _roof(run: dict[str, Any]) -> str:
    words = f"{run['threads']} thread{'s' * (run['threads'] > 1)}: "
    if run["reason"]:
        words += f"no peak measured ({run['reason']})"
    else:
        rates = [f"{rate / 1e9:.0f} GFLOP/s {dtype}" for dtype, rate in run["flops"].items()]
        rates += [f"{rate / 1e9:.0f} GB/s in {int(size) >> 20} MiB" for size, rate in run["traffic"].items()]
        words += "peak " + ", ".join(rates)
    if run["others"] is not None and run["others"] > DISTURBED:
        words += f"; NOT QUIET: other programs took {run['others']:.0%} of the cores"
    return words


def _table(rows: list[Row]) -> Table:
    """Return a table with our median and its quartiles, and each peer's median and its ratio to ours."""
    ours = rows[0]["ours"]
    peers = list(dict.fromkeys(name for row in rows for name in row["times"] if name != ours))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("size", f"{ours} (ours)", *(["bound"] if rows[0]["bound"] else ["GFLOP/s", "of peak"]), *peers):
        table.add_column(name, overflow="fold", no_wrap=name == "size")
    for row in rows:
        size, times = row["size"], row["times"].get(ours)
        disturbed = f" ({row['others']:.0%} taken)" if (row["others"] or 0) > DISTURBED else ""
        cells = [
            f"{size['name']}{disturbed}\n{size['B']},{size['T']},{size['I']},{size['H']}",
            _time(times) if times else "refused",
        ]
        if row["bound"]:
            share = f" ×{times['median'] / row['bound']['seconds']:.2f}" if times else ""
            cells.append(f"{duration(row['bound']['seconds'])}{share}\n{row['bound']['by']}")
        else:
            rate, part = (times or {}).get("gflops"), (times or {}).get("of_peak")
            cells += ["–" if rate is None else f"{rate:.0f}", "–" if part is None else f"{part:.0%}"]
        for name in peers:
            ratio = row["ratios"].get(name)
            theirs = row["times"].get(name)
            shown = "–" if theirs is None else duration(theirs["median"])
            cells.append(shown if ratio is None else f"{shown}\n[bold]×{ratio['median']:.2f}[/bold]")
        table.add_row(*cells)
    return table


def _time(times: dict[str, Any]) -> str:
    """Return the median, and the distances of the quartiles from it."""
    below, above = (times[name] / times["median"] - 1 for name in ("q1", "q3"))
    return f"{duration(times['median'])}\n{below:+.0%} {above:+.0%}"


def _summary_lines(document: dict[str, Any], key: tuple[Any, ...]) -> list[str]:
    of_key = [s for s in document["summaries"] if (s["cell"], s["what"], s["dtype"], s["threads"]) == key]
    found = [s for s in of_key if s["sizes"] > 1]
    if not found:
        return []
    parts = [f"{s['peer']} {s['geometric_mean']:.2f} (least {s['least']:.2f})" for s in found]
    return ["geometric mean of their time / ours: " + ", ".join(parts)]


def _phases(found: list[dict[str, Any]]) -> Table:
    title = "first use: an LSTM training step in a new process"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    names = ("import", "compile", "cache_load", "first_call", "steady")
    for name in ("kernels", *(name.replace("_", " ") for name in names)):
        table.add_column(name)
    for phases in found:
        table.add_row(phases["record"], *(duration(phases[name]) for name in names))
    return table


def _missing(rows: list[Row]) -> list[str]:
    reasons = dict.fromkeys(reason for row in rows for reason in row["missing"].values())
    return [f"not measured: {reason}" for reason in reasons]
