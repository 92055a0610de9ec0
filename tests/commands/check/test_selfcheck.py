"""The self-check passes on the cells as they are, and every judge sees a planted mistake."""

import dataclasses

import numpy as np
import pytest

from minirnn.commands.check import selfcheck
from minirnn.commands.check.selfcheck import CHECKED_CELLS, DTYPES, JUDGES, judge_cell
from minirnn.gradcheck import Verdict


def test_every_cell_passes_every_judge_in_every_dtype():
    results = list(selfcheck.run())
    asked = {(result.cell, result.dtype, result.judge) for result in results}
    assert len(asked) == len(results) == len(CHECKED_CELLS) * len(DTYPES) * len(JUDGES) == 24
    for result in results:
        assert result.report.verdict is Verdict.PASS, f"{result.cell} {result.dtype}\n{result.report}"
        assert result.error < 1e-3


def test_all_arguments_are_judged():
    for cell in CHECKED_CELLS:
        for result in judge_cell(cell, "float64"):
            assert [row.name for row in result.report.rows] == list(cell.shapes)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CHECKED_CELLS, ids=lambda cell: cell.name)
def test_a_small_mistake_in_any_one_gradient_fails_before_each_judge(cell, dtype):
    for index, name in enumerate(cell.shapes):

        def wrong(*arguments, index=index):
            grads = list(cell.backward(*arguments))
            grads[index] = grads[index] * np.asarray(1.001, grads[index].dtype)
            return tuple(grads)

        for result in judge_cell(dataclasses.replace(cell, backward=wrong), dtype):
            assert result.report.verdict is Verdict.FAIL, (name, result.judge)
            assert result.report.failed() == (name,), result.judge


def test_sizes_are_distinct_so_that_no_transpose_hides():
    assert len({selfcheck.B, selfcheck.I, selfcheck.H}) == 3
