"""A sample of benchmarks/diagnosis.py: mutants are placed where their authors expect; unusual correct files pass."""

import contextlib
import io
import sys
from pathlib import Path

import pytest

FOLDER = str(Path(__file__).parents[2] / "benchmarks")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)

import diagnosis  # noqa: E402
from student_files import mutants, odd_styles  # noqa: E402

from minirnn.assignments import TASKS, judge  # noqa: E402


@pytest.mark.parametrize("mutant", mutants.MUTANTS[4::11], ids=lambda m: m.name.replace(" ", "-"))
def test_detected_placed_and_named(mutant):
    score = diagnosis.score(mutant)
    assert score.detected
    assert score.placed, score.why
    assert score.verdict == "right name", score.why


@pytest.mark.parametrize("name", odd_styles.STYLES)
def test_right_files_are_right(name):
    task, source = odd_styles.STYLES[name]
    with contextlib.redirect_stdout(io.StringIO()):
        finding = judge(diagnosis.functions(source), TASKS[task], 1)
    assert (finding.status, finding.problems) == ("right", [])


@pytest.mark.parametrize("name", odd_styles.SINGLE)
def test_float32_inside_is_told(name):
    task, source = odd_styles.SINGLE[name]
    finding = judge(diagnosis.functions(source), TASKS[task], 1)
    assert finding.status == "right"
    assert any("float32" in note for note in finding.notes)


def test_an_edit_that_finds_nothing_is_an_error():
    with pytest.raises(ValueError, match="fused lstm: expected at least 1 occurrences of 'nowhere', found 0"):
        mutants.edited("fused", "lstm", [("nowhere", "x")])
