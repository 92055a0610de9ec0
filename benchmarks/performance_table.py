"""Rewrite the tables of docs/performance.md from a file of results, which is their only source.

    python benchmarks/performance_table.py benchmarks/results/cpu-DATE-CPU.json

The text between the two markers is replaced. A second run on the same file changes nothing.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- speed: begin, written by benchmarks/performance_table.py -->", "<!-- speed: end -->"
COLUMNS = ("torch", "torch compiled", "onnxruntime", "jax", "torch packed", "torch padded", "numpy")


def section(document: dict[str, Any], name: str) -> str:
    """Return the text between the markers: the machine, a row for each LSTM size, and a row for each kind of run."""
    machine, most = document["machine"], max(run["threads"] for run in document["runs"])
    versions = ", ".join(f"{n} {v}" for n, v in machine["versions"].items() if n not in ("minirnn", "jaxlib"))
    flops = [row["peak"] for row in document["rows"] if row["threads"] == most and row["dtype"] == "float32"]
    peaks = " to ".join(dict.fromkeys(f"{bound(filter(None, flops)) / 1e9:.0f}" for bound in (min, max)))
    others = max((run["others"] or 0) for run in document["runs"])
    head = (
        f"{machine['cpu']}, {most} threads, float32, {machine['date'][:10]}; {versions}; "
        f"{'; '.join(dict.fromkeys(machine['blas']))}. "
        f"FMA peak: {peaks} GFLOP/s, measured for each size, interleaved with the contenders; "
        f"a share refers to the peak measured for its size. "
        f"Other programs took at most {others:.0%} of the cores. "
        f"`{document['command']}`, {name}."
    )
    parts = [head]
    for what in ("training", "inference"):
        rows = [
            r
            for r in document["rows"]
            if (r["what"], r["cell"], r["dtype"], r["threads"]) == (what, "lstm", "float32", most)
        ]
        if rows:
            parts.append(_sizes(what, rows))
    parts.append(_kinds(document))
    return "\n\n".join(parts)


def _sizes(what: str, rows: list[dict[str, Any]]) -> str:
    """Return a table with a row for each size: minirnn's time and share of the peak, and the peers' relative times."""
    peers = [name for name in COLUMNS if any(name in row["ratios"] for row in rows)]
    lines = [
        f"LSTM {what}{' (forward and all gradients)' * (what == 'training')}; "
        "each peer's time as a multiple of minirnn's:",
        "",
        "| size (B, T, I, H) | ms | of peak | " + " | ".join(peers) + " |",
        "|---|---|---|" + "---|" * len(peers),
    ]
    for row in rows:
        size, times = row["size"], row["times"].get(row["ours"])
        shown = "refused" if times is None else f"{1e3 * times['median']:.3g}"
        part = "–" if times is None or times["of_peak"] is None else f"{times['of_peak']:.0%}"
        ratios = [f"{row['ratios'][name]['median']:.2f}" if name in row["ratios"] else "–" for name in peers]
        label = f"{size['name']} ({size['B']}, {size['T']}, {size['I']}, {size['H']})"
        lines.append(f"| {label} | {shown} | {part} | " + " | ".join(ratios) + " |")
    return "\n".join(lines)


def _kinds(document: dict[str, Any]) -> str:
    """Return a table with a row for each kind of run: the geometric mean and the minimum over its sizes."""
    peers = [name for name in COLUMNS if any(s["peer"] == name for s in document["summaries"])]
    lines = [
        "Geometric mean over the sizes of each peer's time divided by minirnn's (the minimum in brackets):",
        "",
        "| | threads | sizes | " + " | ".join(peers) + " |",
        "|---|---|---|" + "---|" * len(peers),
    ]
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for s in document["summaries"]:
        groups.setdefault((s["cell"], s["what"], s["dtype"], s["threads"], s["ours"]), {})[s["peer"]] = s
    for (cell, what, dtype, threads, _), found in groups.items():
        label = f"{cell.upper()} {what}{' float64' * (dtype == 'float64')}"
        cells = [f"{s['geometric_mean']:.2f} ({s['least']:.2f})" if (s := found.get(p)) else "–" for p in peers]
        lines.append(f"| {label} | {threads} | {max(s['sizes'] for s in found.values())} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rewritten(text: str, body: str) -> str:
    """Return `text` with `body` between its markers; raise ValueError unless each marker occurs once, in order."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected the lines {BEGIN!r} and {END!r} once each, in this order")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{body}\n{END}{rest.split(END)[1]}"


def main(results: Path, page: Path = PAGE) -> None:
    document = json.loads(results.read_text(encoding="utf-8"))
    text = rewritten(page.read_text(encoding="utf-8"), section(document, results.name))
    handle, temporary = tempfile.mkstemp(dir=page.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, page)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"performance_table.py: {type(error).__name__}: {error}")
