"""compute-sanitizer finds no error in small sequences, if it is installed and works with the driver."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOUND = 86  # the exit status that we request if it finds an error
REFUSALS = (
    "Device not supported",
    "Failed to initialize",
    "not supported",
    "LibraryNotLoaded",
    "Unable to find injection",
)


def refusal(output: str) -> str | None:
    """Return the line in which compute-sanitizer says that it can't run on this machine, or None."""
    lines = (line.strip("= ") for line in output.splitlines() if any(words in line for words in REFUSALS))
    return next(lines, None)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck"])
def test_nothing_is_found(gpu, tool):
    program = shutil.which("compute-sanitizer")
    if program is None:
        pytest.skip("there is no compute-sanitizer on the path")
    command = [program, "--tool", tool, "--error-exitcode", str(FOUND), sys.executable, "-m", "tests.gpu.sanitized"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540)
    output = done.stdout + done.stderr
    if "ran to the end" not in output and (why := refusal(output)):
        pytest.skip(f"compute-sanitizer can't work on this machine: {why}")
    assert done.returncode == 0, output[-4000:]
    assert "ERROR SUMMARY: 0 errors" in output or "0 hazards" in output, output[-4000:]
