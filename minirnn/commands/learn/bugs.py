"""`minirnn bugs`: the gallery of known mistakes, as a list, one by one, or as a quiz."""

from __future__ import annotations

import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from minirnn.assignments import MISTAKES, TASKS, Functions, Mistake, judge
from minirnn.assignments.catalogue.gallery import FORUMS, Specimen, section_of, specimen, specimens
from minirnn.assignments.diagnosis.render import finding_lines
from minirnn.language.training import ConfigError

__all__ = ["quiz", "show", "show_all"]

CHOICES = 4  # the number of answers to choose from in the quiz


def show_all() -> None:
    """List the mistakes by family."""
    sections = defaultdict(list)
    for found in specimens():
        sections[found.mistake].append(found.section)
    for family, mistakes in groupby(MISTAKES.values(), lambda mistake: mistake.family):
        print(family)
        for mistake in mistakes:
            where = f" ({', '.join(sections[mistake.id])})" if mistake.id in sections else ""
            print(f"  {mistake.id}: {mistake.title}{where}")
        print()
    print("minirnn bugs NAME shows one; minirnn bugs --quiz lets you find them.")


def show(name: str) -> None:
    """Show a mistake: the code, its source, its effect, and the message of the check.

    Raises ConfigError if there is no such mistake.
    """
    try:
        found = specimen(name)
    except KeyError:
        if name not in MISTAKES:
            raise ConfigError(f"there is no mistake {name!r}; minirnn bugs lists them") from None
        _describe(MISTAKES[name], FORUMS)
        return
    _describe(found.entry, found.seen)
    print(f"\nplanted in {found.section}:")
    _print_indented(found.lines)
    print("\nwhat the check says:")
    _print_indented(finding_lines(judge(functions(found.source), TASKS[found.task]), 4))


def _describe(entry: Mistake, seen: str) -> None:
    print(f"{entry.title}\n")
    print(f"  you may have written: {entry.wrong}\n  it should be:         {entry.right}")
    print(
        f"  what it does:         {entry.effect}\n  seen in:              {seen}\n  look at:              {entry.look}"
    )


def _print_indented(lines: Iterable[str]) -> None:
    print("\n".join(f"  {line}" for line in lines))


def quiz(count: int, seed: int) -> None:
    """Show `count` wrong functions, one by one, and ask for the mistake. Stop early at the end of the input."""
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
        _print_indented(found.lines)
    print(f"{right} of {asked} right (seed {seed})")


def _options(found: Specimen, rng: random.Random) -> list[str]:
    """Return the ids to choose from: the right one and others, in random order."""
    others = [id for id in MISTAKES if id not in (found.mistake, "kink", "float32-step")]
    options = [found.mistake, *rng.sample(others, CHOICES - 1)]
    rng.shuffle(options)
    return options


def _function(found: Specimen) -> Iterator[str]:
    """Yield the lines of the functions with the changed lines, or of the backward functions if these have none."""
    added = [line[1:] for line in found.lines if line.startswith("+") and line[1:].strip()]
    wanted = added or [line[1:] for line in found.lines]
    parts = re.split(r"\n\n\n(?=def |_)", section_of(found.source, found.section))
    blocks = [part for part in parts if part.startswith(("def ", "_"))]
    holding = [block for block in blocks if any(line in block.splitlines() for line in wanted)]
    for block in holding or [block for block in blocks if "backward" in block.splitlines()[0]]:
        yield from block.rstrip().splitlines()
        yield ""


def functions(source: str) -> Functions:
    """Return the functions of a specimen, which run in this process: the text is minirnn's own."""
    code = compile(source, "specimen.py", "exec")

    def load() -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(code, names)
        return names

    return Functions(load(), load)
