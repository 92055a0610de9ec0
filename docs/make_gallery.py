"""Run the experiments of the course and write docs/gallery.md from what they stored in docs/gallery/.

python docs/make_gallery.py               all of them, then the page: about half an hour on two cores
python docs/make_gallery.py vanishing     this one, then the page
python docs/make_gallery.py --page        the page alone, from what is stored
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from minirnn import course

HERE = Path(__file__).parent
HEAD = """# The course week, claim by claim

What lectures on recurrent networks say, each as an experiment: a command, numbers, a figure, and whether it held.
Every figure and number below comes from the command beside it; `make experiments` runs them all and writes this page.
Equal seeds give equal numbers, but for those that are times; they were measured on the machine that is named.

| experiment | claim | verdict |
|---|---|---|
"""


def main(arguments: list[str]) -> None:
    names = [a for a in arguments if not a.startswith("-")] or list(course.EXPERIMENTS)
    if "--page" not in arguments:
        for name in names:
            command = [sys.executable, "-m", "minirnn.cli", "experiment", name, "--out", str(HERE / "gallery")]
            subprocess.run(command, check=True)
    (HERE / "gallery.md").write_text(page(), encoding="utf-8")


def page() -> str:
    """The page, from the stored results of all experiments that have any."""
    found = [(name, HERE / "gallery" / f"{name}.json") for name in course.EXPERIMENTS]
    documents = [json.loads(path.read_text(encoding="utf-8")) for _, path in found if path.exists()]
    rows = [f"| [{d['experiment']}](#{d['experiment']}) | {d['claim']} | {d['verdict']} |\n" for d in documents]
    return HEAD + "".join(rows) + "".join(map(section, documents))


def section(document: dict[str, Any]) -> str:
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


def table(made: course.Table) -> str:
    def line(cells: Any) -> str:
        return (
            "| " + " | ".join(f"{c:.4g}" if isinstance(c, float) else str(c).replace("|", "\\|") for c in cells) + " |"
        )

    rule = "|---" + "|---:" * (len(made.header) - 1) + "|"
    return "\n".join([f"{made.title}\n", line(made.header), rule, *map(line, made.rows)]) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
