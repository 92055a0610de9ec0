"""`minirnn bench`: times the kernels against the fastest libraries on this machine, after a proof of correctness."""

from pathlib import Path
from typing import Any

from rich.console import Console

from minirnn.bench import phases, report, sizes, suite
from minirnn.bench.errors import BenchError
from minirnn.bench.peers import PEERS
from minirnn.bench.suite import WHATS, BenchPlan
from minirnn.bench.worker import usable_records
from minirnn.commands.output import require_parent
from minirnn_kernels.cell import CELLS

__all__ = ["bench", "planned"]

SECONDS, QUICK_SECONDS = 2.0, 0.5  # per row


def bench(
    console: Console, plan: BenchPlan, *, first_use: bool, json_file: Path | None, plot_file: Path | None
) -> bool:
    """Measure, print the tables, and write the files. Return True if all measured results are correct."""
    for option, path in (("--json", json_file), ("--plot", plot_file)):
        if path is not None:
            require_parent(option, path)
    if plot_file is not None:
        from minirnn.bench import plot

        plot.check(plot_file)
    with console.status("starting", spinner="line") as status:
        document = suite.run(plan, lambda event: _tell(status, event))
        document["phases"] = []
        if first_use:
            status.update("first use: compiling with an empty cache")
            document["phases"] = [phases.measure(name, threads=plan.threads[-1]) for name in usable_records()]
    report.show(console, document)
    try:
        if json_file is not None:
            report.write(json_file, document)
        if plot_file is not None:
            plot.draw(document, plot_file)
    except OSError as error:
        raise BenchError(f"cannot write {error.filename}: {error.strerror}") from None
    return not suite.refusals(document)


def planned(
    kernel: Path | None,
    cells: list[str],
    names: list[str],
    dtypes: list[str],
    threads: list[int],
    whats: list[str],
    quick: bool,
) -> BenchPlan:
    """Return the plan for these options; an empty list means the default. Raises BenchError for an invalid value."""
    from minirnn.bench import machine

    if kernel is not None and not kernel.is_file():
        raise BenchError(f"--kernel {kernel}: there is no such file")
    try:
        asked = tuple(sizes.named(name) for name in names)
    except ValueError as error:
        raise BenchError(f"--size: {error}") from None
    for option, given, expected in (
        ("--cell", cells, tuple(CELLS)),
        ("--dtype", dtypes, ("float32", "float64")),
        ("--what", whats, WHATS),
    ):
        for value in given:
            if value not in expected:
                raise BenchError(f"{option} {value}: expected one of {', '.join(expected)}")
    cores = len(machine.cores())
    for count in threads:
        if not 1 <= count <= cores:
            raise BenchError(f"--threads {count}: expected 1 to {cores}, the number of cores for this process")
    return BenchPlan(
        whats=tuple(dict.fromkeys(whats)) or ("training", "inference"),
        cells=tuple(dict.fromkeys(cells)) or ("lstm",),
        sizes=asked or (sizes.QUICK if quick else sizes.USUAL),
        dtypes=tuple(dict.fromkeys(dtypes)) or ("float32",),
        threads=tuple(dict.fromkeys(threads)) or (cores,),
        kernel=kernel,
        peers=PEERS,
        seconds=QUICK_SECONDS if quick else SECONDS,
        rounds=3 if quick else 5,
    )


def _tell(status: Any, event: dict[str, Any]) -> None:
    if event["event"] == "begin":
        status.update(event["what"])
