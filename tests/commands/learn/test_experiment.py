"""`minirnn experiment`: the numbers, the figure and the conclusion of a run, and error messages."""

import json

import pytest
from typer.testing import CliRunner

from minirnn import cli, course, plots
from minirnn.commands.learn import experiment


class Small:
    """An experiment that takes no time."""

    CLAIM, SOURCE = "Two is more than one.", "arithmetic"

    def run(self, effort, seed, progress):
        progress(0.5, "counting")
        numbers = {"effort": effort, "seed": seed, "rows": [[1, 0.123456], [2, 0.5]]}
        verdict = "held" if seed == 0 else "did not hold"
        return course.Outcome(numbers, f"2 > 1 with seed {seed}", verdict, "" if seed == 0 else "seeds matter")

    def tables(self, numbers):
        return [course.Table("counts", ("n", "share"), numbers["rows"])]

    @plots.style()
    def draw(self, numbers):
        figure, axes = plots.new_figure(2, 1)
        axes.plot([n for n, _ in numbers["rows"]])
        return figure


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(course, "find", lambda name: Small())


def minirnn(*arguments):
    result = CliRunner().invoke(cli.app, ["experiment", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize(("options", "suffix"), [([], ".png"), (["--svg"], ".svg")])
def test_numbers_figure_and_conclusion(tmp_path, options, suffix):
    result = minirnn("order", "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "out" / "order.json").read_text())
    assert document["numbers"] == {"effort": "default", "seed": 0, "rows": [[1, 0.123456], [2, 0.5]]}
    assert document["command"] == "minirnn experiment order"
    assert (document["verdict"], document["claim"]) == ("held", Small.CLAIM)
    assert (tmp_path / "out" / f"order{suffix}").stat().st_size > 500
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["order.json", f"order{suffix}"]
    last = result.output.strip().splitlines()[-1]
    assert last == "claim: Two is more than one. Measured: 2 > 1 with seed 0 Verdict: held."
    assert "0.1235" in result.output


def test_why_a_claim_did_not_hold_stands_before_the_last_line(tmp_path):
    result = minirnn("order", "--quick", "--seed", 3, "--out", tmp_path)
    assert result.output.strip().splitlines()[-2:][0] == "seeds matter"
    document = json.loads((tmp_path / "order.json").read_text())
    assert document["command"] == "minirnn experiment order --quick --seed 3"
    assert document["why"] == "seeds matter"


def test_without_matplotlib_the_numbers_are_kept(tmp_path, monkeypatch):
    def missing(path=None):
        raise plots.MatplotlibMissing("figures need matplotlib: pip install 'minirnn[plots]'")

    monkeypatch.setattr(plots, "check", missing)
    result = minirnn("order", "--out", tmp_path)
    assert result.exit_code == 0
    assert "pip install 'minirnn[plots]'" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["order.json"]


def test_the_list_has_every_experiment_and_its_claim(monkeypatch):
    monkeypatch.undo()
    shown = " ".join(minirnn("--list").output.split())
    for name in course.EXPERIMENTS:
        found = course.find(name)
        assert name in shown
        assert found.CLAIM.split()[0] in shown
        assert found.SOURCE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the name of an experiment, or --list"),
        (["orders"], "experiment: expected one of order, unfold"),
        (["order", "--quick", "--full"], "--quick and --full cannot be used together"),
        (["order", "--out", "file/x"], "--out file/x: cannot make the folder"),
    ],
)
def test_mistakes_are_one_message(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    result = minirnn(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_claim_that_did_not_hold_needs_a_reason():
    with pytest.raises(ValueError, match="a claim that did not hold needs a reason"):
        course.Outcome({}, "nothing", "did not hold")


def test_the_conclusion_is_one_line():
    document = {"claim": "A.", "measured": "b", "verdict": "held in part"}
    assert experiment.conclusion(document) == "claim: A. Measured: b Verdict: held in part."
