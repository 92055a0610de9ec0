"""`minirnn audit`: list the known mistakes that a file of tests does not detect."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from rich.console import Console

from minirnn.assignments.auditing import AuditError, audit
from minirnn.language.training import ConfigError

__all__ = ["run"]


def run(tests: Path, module: str, console: Console) -> bool:
    """Print the mistakes that the tests miss. Return True if there are none. Raises ConfigError for unusable tests."""
    if not tests.is_file():
        raise ConfigError(f"{tests}: there is no such file")
    try:
        with console.status("the model answers") as status:
            result = audit(tests, module, status.update)
    except AuditError as error:
        raise ConfigError(str(error)) from None
    if result.untested:
        print(f"not tested at all: {', '.join(result.untested)}")
    total = len(result.found) + len(result.passed)
    print(f"{len(result.found)} of {total} planted mistakes make the tests fail")
    groups = defaultdict(list)
    for specimen in result.passed:
        groups[specimen.entry.family].append(specimen)
    for family, passed in groups.items():
        print(f"let through, {family}:")
        for specimen in passed:
            print(f"  {specimen.name}: {specimen.entry.title}")
    return not result.passed
