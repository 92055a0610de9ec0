"""Reports: the complete message for every planted mistake, the levels of hints, and JSON."""

import json
import re
from itertools import pairwise

import pytest

from minirnn.assignments import TASKS, Functions, as_dict, judge, text
from minirnn.assignments.catalogue import gallery
from minirnn.assignments.diagnosis.files import FileReport
from tests.assignments.golden import GOLDEN, message
from tests.assignments.students import judged, load

SPECIMENS = list(gallery.specimens())
MESSAGES = {
    part.split("\n", 1)[0]: part for part in re.split(r"^#### ", GOLDEN.read_text(encoding="utf-8"), flags=re.M)
}
FIELDS = [
    "forward: ",
    "wrong: ",
    "where",
    "smallest failing problem: ",
    "family: ",
    "cause: ",
    "evidence: ",
    "look at: ",
]


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda s: s.name.replace(" ", "-"))
def test_the_message_is_the_one_that_was_read(specimen):
    """After an intended change, run `python tests/assignments/golden.py` and read the diff."""
    if specimen.mistake == "random":
        return
    assert message(specimen).split("\n", 1)[1].rstrip() == MESSAGES[specimen.name].split("\n", 1)[1].rstrip()


@pytest.mark.parametrize("name", [s.name for s in SPECIMENS])
def test_the_message_has_all_its_fields(name):
    lines = [line.strip() for line in MESSAGES[name].splitlines()]
    fields = [field for field in FIELDS if any(line.startswith(field) for line in lines)]
    assert fields == FIELDS or (fields == [f for f in FIELDS if f != "where"] and "where" in MESSAGES[name])
    assert any("WRONG" in line for line in lines)


def report(source, task):
    found = FileReport("rnn_layers.py", 0, None, 0)
    found.findings = [judged(source, task)]
    return found


def test_each_level_says_more():
    found = report(gallery.specimen("c-carry-dropped").source, "lstm")
    levels = [text(found, hint) for hint in range(5)]
    for less, more in pairwise(levels):
        assert len(less) < len(more)
    assert "dx" not in levels[0]
    assert "dx" in levels[1]
    assert "blocks" not in levels[1]
    assert "for T = 1" in levels[2]
    assert "recursion" not in levels[2]
    assert "recursion" in levels[3]
    assert "dc_next" not in levels[3]
    assert "dc = dc_next + dh * o * (1 - tanh(c)**2)" in levels[4]


def test_what_is_unknown_is_said_to_be():
    plain = load(gallery.answers()).functions
    odd = {**plain, "rnn_backward": lambda dh, cache: tuple(g + 0.1 for g in plain["rnn_backward"](dh, cache))}
    found = FileReport("f.py", 0, None, 0)
    found.findings = [judge(Functions(odd), TASKS["rnn"])]
    assert "cause: no known mistake fits" in text(found)
    assert as_dict(found)["functions"][0]["named"] == []


KEYS = {
    "task", "functions", "verdict", "failure", "stage", "notes", "problems", "wrong", "places", "maps", "exact",
    "smallest", "families", "named", "causes",
}  # fmt: skip


@pytest.mark.parametrize("hint", range(5))
def test_json_holds_the_fields_and_hides_what_the_level_hides(hint):
    found = as_dict(report(gallery.specimen("c-carry-dropped").source, "lstm"), hint)
    found = json.loads(json.dumps(found))
    (function,) = found["functions"]
    assert set(function) == KEYS
    assert (found["schema"], found["exit_code"], function["verdict"]) == (1, 1, "wrong")
    assert function["wrong"] == (["dx", "dh0", "dWx", "dWh", "db"] if hint >= 1 else [])
    assert bool(function["places"]) == bool(function["smallest"]) == (hint >= 2)
    assert function["families"] == (["recursion"] if hint >= 3 else [])
    assert function["named"] == (["c-carry-dropped"] if hint >= 4 else [])
