"""Run the experiments of the course, and write docs/gallery.md from the results stored in docs/gallery/.

python docs/make_gallery.py               run all experiments, then write the page: about half an hour on two cores
python docs/make_gallery.py vanishing     run this experiment, then write the page
python docs/make_gallery.py --page        only write the page, from the stored results
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minirnn import course

HERE = Path(__file__).parent
HEAD = """# The claims of the course, tested

Each claim below comes from a course on recurrent networks and is tested by an experiment: a command, its numbers, a
figure, and a verdict on the claim. `make experiments` runs all experiments and writes this page. The same seed gives
the same numbers, except for times, which depend on the machine. The machine is named with each command.

| experiment | claim | verdict |
|---|---|---|
"""


def main(arguments: list[str]) -> None:
    if "--page" not in arguments:
        for name in arguments or course.EXPERIMENTS:
            command = [sys.executable, "-m", "minirnn.cli", "experiment", name, "--out", str(HERE / "gallery")]
            subprocess.run(command, check=True)
    (HERE / "gallery.md").write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page, with all experiments that have stored results."""
    paths = [HERE / "gallery" / f"{name}.json" for name in course.EXPERIMENTS]
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    rows = [f"| [{d['experiment']}](#{d['experiment']}) | {d['claim']} | {d['verdict']} |\n" for d in documents]
    return HEAD + "".join(rows) + "".join(map(section, documents))


def section(document: dict[str, Any]) -> str:
    """Return an experiment's section: its command, figure, tables, verdict and claim."""
    name = document["experiment"]
    experiment = course.find(name)
    title = document["about"].splitlines()[0]
    stamp = f"{document['date']}, {document['cpu']}, {document['cores']} cores, {document['seconds']:.0f} s"
    parts = [
        f"\n## {name}\n",
        f"{title}\n",
        f"`{document['command']}` ({stamp}; [numbers](gallery/{name}.json), "
        f"[code](../minirnn/course/experiments/{name}.py))\n",
        f"![{name}: {title}](gallery/{name}.png)\n",
        *map(table, experiment.tables(document["numbers"])),
        f"**{document['verdict'].capitalize()}.** Measured: {document['measured']} {document['why']}".rstrip() + "\n",
        f"The claim: {document['claim']} ({document['source']})\n",
    ]
    return "\n".join(parts)


def table(shown: course.Table) -> str:
    """Return a table as Markdown, with its title above it."""

    def line(cells: Sequence[Any]) -> str:
        texts = (f"{cell:.4g}" if isinstance(cell, float) else str(cell).replace("|", "\\|") for cell in cells)
        return f"| {' | '.join(texts)} |"

    rule = "|---" + "|---:" * (len(shown.header) - 1) + "|"
    return "\n".join([f"{shown.title}\n", line(shown.header), rule, *map(line, shown.rows)]) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
