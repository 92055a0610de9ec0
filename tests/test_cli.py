"""The command line: the help is complete and fast, an unknown command is named, and the version is shown."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from minirnn import __version__, cli
from minirnn.commands.check import selfcheck
from tests.commands.command_line import minirnn, refused


def test_check_prints_the_table_and_fails_on_a_wrong_gradient(monkeypatch):
    result = minirnn("check")
    assert result.exit_code == 0
    assert "24 of 24 verdicts are PASS" in result.stdout
    for word in ("RNN tanh", "RNN relu", "LSTM", "GRU", "float32", "float64", *selfcheck.JUDGES):
        assert word in result.stdout

    gru = selfcheck.CHECKED_CELLS[-1]
    wrong = dataclasses.replace(gru, backward=lambda *args: tuple(-g for g in gru.backward(*args)))
    monkeypatch.setattr(selfcheck, "CHECKED_CELLS", (wrong,))
    result = minirnn("check")
    assert result.exit_code == 1
    assert "0 of 6 verdicts are PASS" in result.stdout
    assert "GRU, float32, finite differences:" in result.stdout


@pytest.mark.parametrize("command", [[], ["train"], ["sample"], ["check"], ["doctor"], ["demo"]])
def test_help_is_there(command):
    result = minirnn(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_an_unknown_command_is_named():
    refused(minirnn("trian"), "trian")


def run_process(*arguments, **options):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "error"}
    return subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, check=False, **options)


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom minirnn import cli\n"
        "try:\n    cli.app(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'numba', 'cupy', 'matplotlib', 'torch', 'pooch', 'safetensors'} & set(sys.modules)))"
    )
    done = run_process("-c", code)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_module_runs_as_a_command(tmp_path):
    done = run_process("-m", "minirnn.cli", "sample", str(tmp_path / "absent"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"minirnn sample: {tmp_path / 'absent'}: there is no such run or checkpoint"
    assert Path(cli.__file__).name == "cli.py"


def test_unknown_kernels_in_the_environment_are_one_message(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIRNN_KERNELS", "fortran")
    result = CliRunner().invoke(cli.app, ["train", "--steps", "1", "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "MINIRNN_KERNELS: kernels 'fortran' are not known" in result.stderr
    assert not (tmp_path / "run").exists()


def test_the_version_is_shown():
    result = minirnn("--version")
    assert result.exit_code == 0
    assert result.stdout == f"minirnn {__version__}\n" == "minirnn 0.1.0\n"


def test_the_help_lists_every_command_in_its_group():
    shown = minirnn("--help").stdout
    groups = {
        "Learn": ["demo", "experiment", "bugs", "assignments"],
        "Train": ["train", "sample"],
        "Check": ["check", "audit"],
        "Race": ["bench", "doctor"],
        "Apply": ["chat", "train-chatbot", "chatbot-score"],
    }
    assert sorted(name for names in groups.values() for name in names) == sorted(
        command.name or command.callback.__name__ for command in cli.app.registered_commands
    )
    marks = [mark for group, names in groups.items() for mark in (f"─ {group} ─", *(f"│ {name} " for name in names))]
    places = [shown.index(mark) for mark in marks]
    assert places == sorted(places)
