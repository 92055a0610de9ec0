"""`minirnn check FILE`, `assignments`, `bugs` and `audit`: options, exit codes, and invalid requests."""

import json

import pytest
from typer.testing import CliRunner

from minirnn import cli
from minirnn.assignments import MISTAKES, TASKS, auditing
from minirnn.assignments.catalogue import gallery
from minirnn.assignments.catalogue.templates import ASSIGNMENTS


def minirnn(*arguments, **options):
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments], **options)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def wrong(tmp_path):
    path = tmp_path / "rnn_layers.py"
    path.write_text(gallery.specimen("c-carry-dropped").source)
    return path


def test_a_file_with_a_mistake(wrong):
    result = minirnn("check", wrong, "--only", "lstm", "--seed", 3)
    assert result.exit_code == 1
    assert "(seed 3)" in result.stdout
    assert "lstm_step: right" in result.stdout
    assert "cause: the gradient into c isn't carried from step to step" in result.stdout


def test_options_reach_the_report(wrong):
    found = json.loads(
        minirnn("check", wrong, "--only", "lstm", "--json", "--hint", 2, "--quick", "--gates", "ifog").stdout
    )
    assert (found["gates"], found["hint"], found["exit_code"]) == ("ifog", 2, 1)
    assert found["functions"][1]["smallest"] is None
    assert found["functions"][1]["named"] == []
    truncated = json.loads(minirnn("check", wrong, "--only", "rnn", "--json", "--truncate", 2).stdout)
    assert [f["verdict"] for f in truncated["functions"]] == ["right", "wrong"]


def test_exit_codes(tmp_path, wrong):
    right = tmp_path / "right.py"
    right.write_text(gallery.answers())
    assert minirnn("check", right, "--only", "rnn", "--hint", 0).exit_code == 0
    broken = tmp_path / "broken.py"
    broken.write_text("def f(:")
    result = minirnn("check", broken)
    assert result.exit_code == 2
    assert "syntax error" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.py"], "there is no such file"),
        (["FILE", "--gates", "xyz"], "gates must be an order"),
        (["FILE", "--only", "tennis"], "no assignment 'tennis'"),
        (["FILE", "--sweep", "nowhere/x.png", "--only", "rnn_step"], "--sweep nowhere/x.png"),
    ],
)
def test_mistakes_in_what_was_asked(wrong, arguments, words):
    if "--sweep" in arguments:
        pytest.importorskip("matplotlib", reason="a PNG needs matplotlib (pip install '.[plots]')")
    result = minirnn("check", *[wrong if a == "FILE" else a for a in arguments])
    assert result.exit_code == 2
    assert words in result.stderr


def test_the_curve_as_text_and_picture(wrong, tmp_path):
    pytest.importorskip("matplotlib")
    result = minirnn("check", wrong, "--only", "lstm", "--hint", 0, "--sweep", "-")
    assert "largest error of all tensors" in result.stderr
    minirnn("check", wrong, "--only", "lstm", "--hint", 0, "--sweep", tmp_path / "v.png")
    assert (tmp_path / "v-lstm.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.part"))


def test_reproduction_prints_both_gradients(wrong, capsys):
    from minirnn.assignments import reproduce

    reproduce(wrong, "lstm", N=1, T=2, D=1, H=1, zero=["h0"], seed=0)
    printed = capsys.readouterr().out
    assert "dx is wrong; yours and the right one:" in printed
    assert "h0 =\n[[0.]]" in printed


def test_assignments_are_listed_and_started(tmp_path):
    listed = minirnn("assignments").stdout
    assert all(name in listed for name in ASSIGNMENTS)
    assert all(task.signature() in listed for task in TASKS.values())
    result = minirnn("assignments", "start", "gru", tmp_path)
    assert str(tmp_path / "gru.py") in result.stdout
    for arguments, words in (
        (["start", "gru", tmp_path], "is there already"),
        (["start", "tennis", tmp_path], "there is no assignment 'tennis'"),
        (["play"], "start NAME DIR"),
    ):
        refused = minirnn("assignments", *arguments)
        assert refused.exit_code == 2
        assert words in refused.stderr


def test_bugs_are_listed_and_shown():
    listed = minirnn("bugs").stdout
    assert all(id in listed for id in MISTAKES)
    shown = minirnn("bugs", "f-input").stdout
    assert "-    df = dc * prev_c" in shown
    assert "lstm: WRONG" in shown
    assert "what it does:" in minirnn("bugs", "kink").stdout
    refused = minirnn("bugs", "tennis")
    assert refused.exit_code == 2
    assert "there is no mistake 'tennis'" in refused.stderr


def test_the_quiz_counts_and_ends_with_the_input():
    result = minirnn("bugs", "--quiz", "--seed", 1, "--count", 3, input="1\n1\n1\n")
    assert result.stdout.count("What is wrong?") == 3
    assert "of 3 right (seed 1)" in result.stdout
    assert "0 of 0 right" in minirnn("bugs", "--quiz", "--seed", 1, input="").stdout


def test_the_audit_says_what_is_let_through(tmp_path, monkeypatch):
    audit = auditing.Audit([gallery.specimen("sign")], [gallery.specimen("f-input")], ["gru"])
    monkeypatch.setattr(auditing, "audit", lambda *arguments: audit)
    monkeypatch.setattr("minirnn.commands.check.audit.audit", lambda *arguments: audit)
    path = tmp_path / "tests.py"
    path.write_text("")
    result = minirnn("audit", path)
    assert result.exit_code == 1
    assert "not tested at all: gru" in result.stdout
    assert "1 of 2 planted mistakes make the tests fail" in result.stdout
    assert "f-input in lstm" in result.stdout
    assert minirnn("audit", tmp_path / "nowhere.py").exit_code == 2
