"""The results of benchmarks/gpu.py as tables: every row, then the targets.

The document (schema "minirnn-gpu 1"; times in seconds, rates in bytes or FLOP per second):

    schema, seed, command, parts   how the document was made
    machine      date (UTC), gpu, architecture, multiprocessors, memory, l2, driver, cuda, python,
                 versions {package: version}
    peaks        {mode: FLOP/s of a large product}, measured in the same process
    bandwidth    {bytes of both arrays together: bytes per second read and written by a copy}
    rows         part, row (see plan.GpuRow), flop, bytes, allowed, sets;
                 errors {contender: ||difference|| / ||exact||}, refused and missing {contender: reason};
                 times {contender: {samples, median, q1, q3, flops, bandwidth, of_roof}},
                 ratios {contender: {median, q1, q3} of its time / ours},
                 figure (the fastest PyTorch / ours; for gates: bandwidth / a copy's), roof {seconds, by, ...}, notes
    targets      see plan.judge
    left_out     keys of rows without time left, or without a reference to compare with
"""

from __future__ import annotations

from typing import Any

from on_gpu.measure import spread
from on_gpu.plan import judge, key, of_dict
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from minirnn.bench.report import PLAIN, duration

__all__ = ["SCHEMA", "merged", "show", "targets"]

SCHEMA = "minirnn-gpu 1"
Document = dict[str, Any]


def merged(old: Document | None, new: Document) -> Document:
    """Return `new` with those rows of `old` that it does not replace. Raises ValueError if the machines differ."""
    if old is None:
        return new | {"targets": judge(new["rows"])}
    for name in ("gpu", "driver", "versions"):
        if old["machine"][name] != new["machine"][name]:
            raise ValueError(
                f"the results are from two machines: {name} {old['machine'][name]!r}, now {new['machine'][name]!r}; "
                "use --out to write another file"
            )
    its_key = lambda found: key(found["part"], of_dict(found["row"]))
    measured = {its_key(found) for found in new["rows"]}
    rows = [found for found in old["rows"] if its_key(found) not in measured] + new["rows"]
    there = {its_key(found) for found in rows}
    return new | {
        "peaks": old["peaks"] | new["peaks"],
        "bandwidth": old["bandwidth"] | new["bandwidth"],
        "rows": rows,
        "parts": list(dict.fromkeys(old["parts"] + new["parts"])),
        "left_out": [name for name in dict.fromkeys(old["left_out"] + new["left_out"]) if name not in there],
        "targets": judge(rows),
    }


def show(console: Console, document: Document) -> None:
    """Print the whole document. The targets come last, because the end of a long output is visible."""
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    console.print(f"{machine['gpu']}, driver {machine['driver']}, {machine['date']}; {versions}", **PLAIN)
    rates = [f"{mode} {rate / 1e12:.0f} TFLOP/s" for mode, rate in document["peaks"].items()]
    rates += [f"{rate / 1e9:.0f} GB/s in {int(size) / 1e6:.0f} MB" for size, rate in document["bandwidth"].items()]
    console.print(f"measured peaks: {', '.join(rates)}", **PLAIN)
    console.print(table(document["rows"]))
    for found in document["rows"]:
        for name, words in found["refused"].items():
            console.print(f"WRONG, not timed: {name}, {of_dict(found['row']).name}: {words}", **PLAIN)
    for words in dict.fromkeys(w for found in document["rows"] for w in found["missing"].values()):
        console.print(f"not measured: {words}", **PLAIN)
    if document["left_out"]:
        console.print(f"left out: {len(document['left_out'])} rows, the first {document['left_out'][0]}", **PLAIN)
    console.print(targets(document["targets"]))


def targets(lines: list[dict[str, Any]]) -> Table:
    """Return a table with a line for each target: met, not met or not measured."""
    made = Table(title="targets: the peer's time / ours", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("target", "at least", "verdict", "rows", "worst", "where"):
        made.add_column(name, overflow="fold")
    for line in lines:
        worst = "–" if line["worst"] is None else f"{line['worst']:.2f}"
        met = f"{line['meet']} of {line['rows']}" if line["rows"] else "–"
        where = line["worst_row"] or ""
        if line["refused"]:
            where = f"wrong: {line['refused'][0]}"
        made.add_row(line["target"], f"{line['least']:g}", line["verdict"], met, worst, where)
    return made


def table(rows: list[dict[str, Any]]) -> Table:
    """Return a table with a line for each row: our time, its spread, its share of the roof, and the ratios of times."""
    names = dict.fromkeys(name for found in rows for name in found["times"] if name != "ours")
    made = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("row", "B,T,I,H", "plan", "ours", "±", "of roof", "by", "error", *names):
        made.add_column(name, overflow="fold")
    for found in rows:
        row, times, limit = of_dict(found["row"]), found["times"].get("ours"), found.get("roof")
        s = row.size
        notes = found["notes"].get("ours", {})
        plans = [_short(notes[way]["plan"]) for way in ("forward", "backward") if way in notes]
        cells = [row.name, f"{s.B},{s.T},{row.inputs},{s.H}", "; ".join(dict.fromkeys(plans))]
        cells += [duration(times["median"]), f"{spread(times):.0%}"] if times else ["refused", ""]
        share = times and times["of_roof"]
        cells += [f"{share:.0%}" if share else "–", limit["by"] if limit else "–"]
        off = found["errors"].get("ours")
        cells += ["–" if off is None else f"{off:.1e}"]
        for name in names:
            ratio = found["ratios"].get(name)
            cells.append("–" if ratio is None else f"×{ratio['median']:.2f}")
        made.add_row(*cells)
    return made


def _short(plan: str) -> str:
    """Return the level and the team of a plan, without its other parts."""
    return ", ".join(plan.removeprefix("level ").split(", ")[:2])
