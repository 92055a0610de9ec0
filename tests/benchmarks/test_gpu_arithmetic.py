"""The tables of kernels/README.md on where a step's time goes come from `cuda/levels.py`, and add up."""

import re

import pytest
from on_gpu import arithmetic

from minirnn_kernels.cuda.levels import choose, estimate

TEXT = arithmetic.README.read_text(encoding="utf-8")


def test_the_readme_has_the_tables_that_the_estimates_make():
    assert arithmetic.rewritten(TEXT, arithmetic.body()) == TEXT, "run python benchmarks/on_gpu/arithmetic.py"


def test_counts_are_those_of_the_shapes():
    assert "| 1024, 32 | 16 MiB | 128 multiprocessors | 268.4 | 128 KiB | 512 KiB |" in arithmetic.sizes()
    assert "| 256, 16 | 1 MiB |" in arithmetic.sizes()


def test_a_step_is_the_sum_of_the_parts_that_follow_each_other():
    rows = re.findall(r"^\| (\d.*) \|$", arithmetic.levels(), re.MULTILINE)
    assert len(rows) == 10
    for row in rows:
        _, level, *figures = [cell.strip() for cell in row.split("|")]
        launch, product, state, weights, traffic, barrier, rest = (float(f.replace("–", "0")) for f in figures[:-1])
        total = launch + max(product + state + weights, traffic) + barrier + rest
        if level == "1":
            total = max(launch, 5 + max(product, traffic))
        assert float(figures[-1].strip("*")) == pytest.approx(total, abs=0.3)


def test_the_bold_figures_are_the_choice():
    work = arithmetic.lstm(512, 32, "TF32")
    best = choose(work, arithmetic.H100)
    assert best.plan.level == 3
    us = estimate(best.plan, work, arithmetic.H100) / arithmetic.TIME_STEPS
    (row,) = [line for line in arithmetic.modes().splitlines() if line.startswith("| 512, 32 | TF32 |")]
    assert f"**{us:.1f}** / **" in row


def test_what_the_text_says_of_the_tables_is_so():
    """Sentences of the README that a change of the estimates could make wrong."""
    plan = lambda H, B, mode, back=False: choose(arithmetic.lstm(H, B, mode, back), arithmetic.H100).plan
    assert plan(256, 16, "TF32").team == "cluster"
    assert plan(512, 32, "TF32").grid == (64, 2)
    assert plan(1024, 32, "TF32").grid == (128, 1)
    assert plan(1024, 32, "strict").level == 1
    assert not any(name.startswith("3, cluster") for name, _ in arithmetic._shown(arithmetic.lstm(512, 32, "TF32")))
    found = arithmetic.parts(plan(512, 32, "TF32"), arithmetic.lstm(512, 32, "TF32"), arithmetic.H100)
    assert found["state"] + found["barrier"] > arithmetic.step(plan(512, 32, "TF32"), found) / 2


def test_markers_that_are_not_there_once_are_an_error():
    with pytest.raises(ValueError, match="once each"):
        arithmetic.rewritten("", "body")
