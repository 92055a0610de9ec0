"""The examples in docs/ run as printed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
PYTHON = [(name, code) for name, page in PAGES.items() for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]


@pytest.mark.parametrize(("name", "code"), PYTHON, ids=lambda value: value[:20].replace("\n", " "))
def test_python_examples_run(name, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"{name}.md", "exec"), {})


def test_commands_run(tmp_path):
    """The commands run in order in an empty folder; the check of an unfilled template exits with 2."""
    commands = [c for page in PAGES.values() for c in re.findall(r"^\$ (minirnn .*)$", page, re.MULTILINE)]
    assert commands
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "kernels"]))}
    for command in commands:
        words = shlex.split(command)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "minirnn.cli", *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == (2 if words[0] == "check" else 0), done.stderr


def test_the_message_in_the_learners_page_is_the_real_one():
    from minirnn.assignments import TASKS, judge
    from minirnn.assignments.catalogue import gallery
    from minirnn.assignments.diagnosis.files import FileReport
    from minirnn.assignments.diagnosis.render import finding_lines
    from minirnn.commands.learn.bugs import functions

    finding = judge(functions(gallery.specimen("c-carry-dropped").source), TASKS["lstm"])
    real = {re.sub(r"match \S+", "match", line) for line in finding_lines(finding, 4, FileReport("f", 0, None, 0))}
    printed = re.search(r"```text\n(lstm: WRONG.*?)```", PAGES["learners"], re.DOTALL)[1].splitlines()
    assert all(re.sub(r"match \S+", "match", line) in real for line in printed if line.strip() != "...")


def test_the_schema_names_every_field():
    from minirnn.assignments import TASKS, as_dict, judge
    from minirnn.assignments.catalogue import gallery
    from minirnn.assignments.diagnosis.files import FileReport
    from minirnn.commands.learn.bugs import functions

    report = FileReport("f", 0, None, 0)
    report.findings = [judge(functions(gallery.specimen("c-carry-dropped").source), TASKS["lstm"])]

    def keys(value):
        if isinstance(value, dict):
            return {key for key in value if re.fullmatch("[a-z_]+", key)}.union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    fields = keys(as_dict(report)) - set("ifogrz") - set(TASKS["lstm"].gradients)
    missing = [field for field in fields if f"`{field}`" not in PAGES["instructors"]]
    assert missing == []
