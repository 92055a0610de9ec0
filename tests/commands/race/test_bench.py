"""`minirnn bench`: options become a plan, a user error gives one message, and a wrong kernel gives exit code 1."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from minirnn import cli
from minirnn.bench import machine, sizes
from minirnn.bench.errors import BenchError
from minirnn.commands.race.bench import planned


def minirnn(*arguments):
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def plan(kernel=None, cells=(), names=(), dtypes=(), threads=(), whats=(), quick=False):
    return planned(kernel, list(cells), list(names), list(dtypes), list(threads), list(whats), quick)


def test_the_usual_plan():
    usual = plan()
    assert (usual.whats, usual.cells, usual.dtypes) == (("training", "inference"), ("lstm",), ("float32",))
    assert usual.sizes == sizes.USUAL
    assert usual.threads == (len(machine.cores()),)
    assert plan(quick=True).sizes == sizes.QUICK
    assert plan(quick=True).seconds < usual.seconds


def test_every_option_reaches_the_plan():
    asked = plan(None, ["gru", "rnn"], ["2x3x4x5", "small"], ["float64"], [1], ["gates", "step"])
    assert (asked.whats, asked.cells, asked.dtypes, asked.threads) == (
        *(("gates", "step"), ("gru", "rnn"), ("float64",), (1,)),
    )
    assert [size.name for size in asked.sizes] == ["2x3x4x5", "small"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cells": ["gruu"]}, "--cell gruu: expected one of rnn, lstm, gru"),
        ({"dtypes": ["float16"]}, "--dtype float16: expected one of float32, float64"),
        ({"whats": ["speed"]}, "--what speed: expected one of gates, forward"),
        ({"names": ["huge"]}, "--size: size 'huge' is not known"),
        ({"threads": [0]}, "--threads 0: expected 1 to"),
        ({"threads": [9999]}, "--threads 9999: expected 1 to"),
        ({"kernel": Path("absent.py")}, "--kernel absent.py: there is no such file"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(BenchError, match=words):
        plan(**options)


@pytest.mark.parametrize(
    "arguments", [("--cell", "x"), ("--json", "absent/x.json"), ("--plot", "x.docx"), ("--kernel", "absent.py")]
)
def test_a_mistake_ends_in_one_message_and_exit_code_2(arguments):
    result = minirnn("bench", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("minirnn bench: ")


def test_a_kernel_is_proven_timed_and_written_down(tmp_path, monkeypatch):
    """With one tiny size and no peers, the output is a table and the same numbers as JSON."""
    monkeypatch.setattr("minirnn.commands.race.bench.QUICK_SECONDS", 0.02)
    monkeypatch.setattr("minirnn.commands.race.bench.PEERS", ())
    (tmp_path / "my_kernel.py").write_text(
        "from dataclasses import replace\nimport minirnn_kernels\n"
        'KERNELS = replace(minirnn_kernels.get("numpy"), name="mine")\n'
    )
    options = ("--size", "3x4x5x6", "--quick", "--threads", 1, "--json", tmp_path / "all.json")
    result = minirnn("bench", "--kernel", tmp_path / "my_kernel.py", *options)
    assert result.exit_code == 0, result.output
    assert "mine" in result.stdout
    document = json.loads((tmp_path / "all.json").read_text())
    assert [row["what"] for row in document["rows"]] == ["training", "inference"]

    text = (tmp_path / "my_kernel.py").read_text()
    wrong = text.replace(
        'name="mine")',
        'name="mine", lstm=replace(numpy.lstm, inference=lambda *a: tuple(2 * r for r in numpy.lstm.inference(*a))))',
    ).replace("KERNELS =", 'numpy = minirnn_kernels.get("numpy")\nKERNELS =')
    (tmp_path / "bad_kernel.py").write_text(wrong)
    result = minirnn("bench", "--kernel", tmp_path / "bad_kernel.py", *options)
    assert result.exit_code == 1
    assert "WRONG, not timed" in result.stdout
    assert "inference" in result.stdout
