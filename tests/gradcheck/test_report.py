"""A report has one verdict and a readable table, and is true only for PASS."""

import pytest

from minirnn.gradcheck import GradientError, Report, Row, Verdict

PASS = Row("x", Verdict.PASS, "complex step", (0, 1), 1.0, 1.0, 1e-16, 4e-10, 1e-15, 2.0, 0, 6)
FAIL = Row("W_hh", Verdict.FAIL, "differences", (7, 2), -0.25, 0.5, 0.75, 4e-10, 1e-12, 1.0, 3, 100)
UNKNOWN = Row("b", Verdict.CANNOT_TELL, "differences", (1,), 0.1, 0.2, 0.1, 7e-5, 0.5, 1.0, 0, 4, note="too noisy")


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([PASS], Verdict.PASS),
        ([PASS, FAIL], Verdict.FAIL),
        ([PASS, UNKNOWN], Verdict.CANNOT_TELL),
        ([UNKNOWN, FAIL, PASS], Verdict.FAIL),
    ],
)
def test_the_verdict_is_the_gravest(rows, verdict):
    report = Report(tuple(rows), "full", 0)
    assert report.verdict is verdict
    assert bool(report) is (verdict is Verdict.PASS)


def test_a_problem_of_the_whole_fails():
    assert Report((PASS,), "full", 0, problem="2 gradients, expected 1").verdict is Verdict.FAIL


def test_the_table_has_a_line_per_tensor_with_index_values_and_seed():
    lines = str(Report((PASS, FAIL, UNKNOWN), "full", 11)).splitlines()
    assert lines[0] == "gradient check: FAIL (full, seed 11)"
    assert lines[1].split("  ")[1] == "tensor"
    assert all(part in lines[3] for part in ("W_hh", "FAIL", "differences", "(7, 2)", "-0.25", "0.5", "7.5e-01"))
    assert "W_hh: 3 of 100 entries are off" in lines[5]
    assert "b: too noisy" in lines[6]


def test_rows_are_found_by_name():
    report = Report((PASS, FAIL), "full", 0)
    assert report["W_hh"] is FAIL
    assert report.failed() == ("W_hh",)
    with pytest.raises(KeyError, match="W_ih"):
        report["W_ih"]


@pytest.mark.parametrize("row", [FAIL, UNKNOWN])
def test_raise_unless_pass_shows_the_table(row):
    Report((PASS,), "full").raise_unless_pass()
    with pytest.raises(GradientError, match=row.name):
        Report((row,), "full").raise_unless_pass()
