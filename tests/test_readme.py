"""The examples in the README run as printed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^\$ (minirnn .*)$", README, re.MULTILINE)


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: re.sub(r"\W+", " ", code.splitlines()[-1])[:40])
def test_python_examples_run(code):
    exec(compile(code, "README.md", "exec"), {})


def test_the_broken_transpose_is_found(capsys):
    """The verdicts are as printed; the last digits of the errors depend on the machine."""
    (code,) = (c for c in PYTHON if "def broken" in c)
    exec(compile(code, "README.md", "exec"), {})
    printed = re.search(r"```text\n(gradient check: FAIL.*?)```", README, re.DOTALL)[1]
    reports = re.split(r"(?=gradient check)", capsys.readouterr().out)[1:]
    verdicts = [re.findall(r"PASS|FAIL", report) for report in reports]
    assert verdicts == [["PASS"] * 6, re.findall(r"PASS|FAIL", printed)]
    assert reports[1].splitlines()[-1] == printed.splitlines()[-1]


def test_commands_run(tmp_path):
    """The commands run in order in an empty folder, with less training and a smaller race than printed."""
    env = os.environ | {"PYTHONPATH": ":".join(map(str, [ROOT, ROOT / "kernels"]))}
    assert [c.split()[1] for c in COMMANDS] == ["chat", "check", "train", "sample", "experiment", "bench"]
    for command in COMMANDS:
        if command == "minirnn chat":
            continue  # it has its own test
        command = command.replace("--minutes 1 ", "--steps 3 --hidden 8 --batch 2 ")
        command = command.replace("--quick ", "--quick --size 2x3x4x5 ")
        words = shlex.split(command)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "minirnn.cli", *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_the_conversation_is_as_printed():
    """The command gives the printed replies to the lines typed at the prompts."""
    (printed,) = re.findall(r"\$ minirnn chat\n(.*?)```", README, re.DOTALL)
    lines = printed.splitlines()
    typed = [line.removeprefix("you> ") for line in lines[::2]]
    env = os.environ | {"PYTHONPATH": ":".join(map(str, [ROOT, ROOT / "kernels"]))}
    done = subprocess.run(
        [sys.executable, "-m", "minirnn.cli", "chat"],
        input="\n".join(typed) + "\n", env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(line.startswith("you> ") for line in lines[::2])
    assert done.stdout.splitlines() == lines[1::2]
