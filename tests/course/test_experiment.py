"""The pieces that the runs of all experiments share: the list, progress, verdicts, and selected rows."""

import pytest

from minirnn import course
from minirnn.course.experiment import percent, tracked, verdict, where


@pytest.mark.parametrize("name", course.EXPERIMENTS)
def test_every_experiment_has_a_module_with_a_claim_and_an_explanation(name):
    found = course.find(name)
    assert found.CLAIM.endswith(".")
    assert found.SOURCE.endswith(".")
    assert found.__doc__.splitlines()[0]


def test_an_unknown_experiment_is_an_error_that_lists_the_names():
    with pytest.raises(ValueError, match=r"expected one of order, unfold, .* got 'orders'"):
        course.find("orders")


def test_progress_counts_each_item_with_its_cost():
    seen = []
    items = tracked(("a", "bbb"), lambda done, what: seen.append((done, what)), str.upper, len)
    reports = {}
    for item, report in items:
        reports[item] = report
        report(0.5)
    reports["a"](1.0)  # a report stays bound to its own item
    assert seen == [(0.0, "A"), (0.125, "A"), (0.25, "BBB"), (0.625, "BBB"), (0.25, "A")]


@pytest.mark.parametrize(
    ("held", "in_part", "expected"),
    [
        (True, True, "held"),
        (True, False, "held"),
        (False, True, "held in part"),
        (False, False, "did not hold"),
    ],
)
def test_the_verdict(held, in_part, expected):
    assert verdict(held, in_part) == expected


def test_rows_are_selected_by_all_given_values():
    rows = [{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 2, "b": 2}]
    assert where(rows, a=1) == rows[:2]
    assert where(rows, a=1, b=3) == rows[1:2]
    assert where(rows) == rows


def test_percentages():
    assert [percent(0.125), percent(0.125, 1), percent(None)] == ["12%", "12.5%", "-"]
