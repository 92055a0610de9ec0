"""`minirnn bugs`: the gallery of known mistakes, one by one or as a quiz."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from minirnn.assignments import MISTAKES, TASKS, Functions, judge
from minirnn.assignments.catalogue.gallery import Specimen, specimen, specimens
from minirnn.assignments.diagnosis.render import finding_lines
from minirnn.language.training import ConfigError

__all__ = ["quiz", "show", "show_all"]

CHOICES = 4


def show_all() -> None:
    """List the mistakes by family."""
    family = ""
    sections: dict[str, list[str]] = {}
    for found in specimens():
        sections.setdefault(found.mistake, []).append(found.section)
    for mistake in MISTAKES.values():
        if mistake.family != family:
            family = mistake.family
            print(f"\n{family}" if mistake is not next(iter(MISTAKES.values())) else family)
        where = f" ({', '.join(sections[mistake.id])})" if mistake.id in sections else ""
        print(f"  {mistake.id}: {mistake.title}{where}")
    print("\nminirnn bugs NAME shows one; minirnn bugs --quiz lets you find them.")


def show(name: str) -> None:
    """Show one mistake: its description, its source, its effect, and the report of the check."""
    try:
        found = specimen(name)
    except KeyError:
        if name in MISTAKES:
            _describe(MISTAKES[name].title, name, "course forums, issue trackers and published code")
            return
        raise ConfigError(f"there is no mistake {name!r}; minirnn bugs lists them") from None
    _describe(found.entry.title, found.mistake, found.seen)
    print(f"\nplanted in {found.section}:")
    for line in found.lines:
        print(f"  {line}")
    print("\nwhat the check says:")
    for line in finding_lines(judge(functions(found.source), TASKS[found.task]), 4):
        print(f"  {line}")


def _describe(title: str, id: str, seen: str) -> None:
    entry = MISTAKES[id]
    print(f"{title}\n")
    print(f"  written:             {entry.wrong}\n  has to be:           {entry.right}")
    print(f"  what it does:        {entry.effect}\n  seen in:             {seen}\n  look at:             {entry.look}")


def quiz(count: int, seed: int) -> None:
    """Show wrong functions and ask what is wrong with them, until there are `count` answers or no more input."""
    rng = random.Random(seed)
    pool = [found for found in specimens() if len(found.lines) <= 6]
    right = asked = 0
    for found in rng.sample(pool, min(count, len(pool))):
        print("\n" + "\n".join(_function(found)) + "\n\nWhat is wrong?")
        options = _options(found, rng)
        for n, id in enumerate(options, 1):
            print(f"  {n}  {MISTAKES[id].title}")
        print("> ", end="", flush=True)
        answer = sys.stdin.readline()
        if not answer:
            print()
            break
        asked += 1
        hit = answer.strip() == str(options.index(found.mistake) + 1)
        right += hit
        print("Right." if hit else f"No: {found.entry.title}.")
        print("\n".join(f"  {line}" for line in found.lines))
    print(f"{right} of {asked} right (seed {seed})")


def _options(found: Specimen, rng: random.Random) -> list[str]:
    others = [id for id in MISTAKES if id not in (found.mistake, "kink", "float32-step")]
    options = [found.mistake, *rng.sample(others, CHOICES - 1)]
    rng.shuffle(options)
    return options


def _function(found: Specimen) -> Iterator[str]:
    """Return the functions that contain the changed lines."""
    added = [line[1:] for line in found.lines if line.startswith("+") and line[1:].strip()]
    wanted = added or [line[1:] for line in found.lines]
    blocks = [block for block in re.split(r"\n\n\n(?=def |_)", _section(found)) if block.startswith(("def ", "_"))]
    holding = [block for block in blocks if any(line in block.splitlines() for line in wanted)]
    for block in holding or [block for block in blocks if "backward" in block.splitlines()[0]]:
        yield from block.rstrip().splitlines()
        yield ""


def _section(found: Specimen) -> str:
    start = found.source.index(f"# ---- {found.section}\n")
    end = found.source.find("# ---- ", start + 5)
    return found.source[start : end if end > 0 else len(found.source)]


def functions(source: str) -> Functions:
    """Run the text of a specimen, which is part of minirnn, in this process, and return its functions."""
    code = compile(source, "specimen.py", "exec")

    def load() -> dict[str, Any]:
        module = SimpleNamespace()
        exec(code, vars(module))
        return vars(module)

    return Functions(load(), load)
