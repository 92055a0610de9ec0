"""The progress of a run: a bar on a terminal, lines elsewhere, the loss in nats and bits, speed and time left."""

import io
import math
import re
import types

import pytest
from rich.console import Console

from minirnn.commands import progress
from minirnn.commands.progress import BarReporter, PlainReporter, describe_loss, reporting
from minirnn.language.training import StepReport

CONFIG = types.SimpleNamespace(steps=100, batch=4, seq=5)


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test controls."""
    now = types.SimpleNamespace(time=1000.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now.time)
    return now


def trainer(done=0):
    return types.SimpleNamespace(config=CONFIG, steps_done=done)


def test_a_loss_is_told_in_both_units():
    assert describe_loss(math.log(2)) == "0.6931 nats (1.0000 bits) per character"


def test_plain_lines_at_validations_and_now_and_then(clock):
    out = io.StringIO()
    with reporting(trainer(), Console(file=out, width=40)) as reporter:
        assert isinstance(reporter, PlainReporter)
        for step in range(1, 31):
            clock.time += 0.5
            reporter.step(StepReport(step, 2.0, 0.25, 1e-3))
        clock.time += 60  # a long validation
        reporter.validation(30, 1.5, True)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2  # after 10 seconds, and the validation
    assert lines[0].startswith("step 20/100  loss 2.000 nats 2.885 bits  |g| 0.25  40 char/s  0:40 left")
    assert lines[1].startswith("step 30/100  loss 2.000")
    assert lines[1].endswith("validation 1.5000 nats (2.1640 bits) per character  (best so far)")


def test_validation_is_no_training_time_but_counts_for_the_time_left(clock):
    out = io.StringIO()
    with reporting(trainer(done=50), Console(file=out)) as reporter:
        for step in (51, 52):
            clock.time += 1.0
            reporter.step(StepReport(step, 1.0, 0.1, 1e-3))
            clock.time += 9.0
            reporter.validation(step, 1.0, False)
    assert "20 char/s  8:00 left" in out.getvalue().splitlines()[-1]  # 48 steps of 10 seconds


def test_the_validation_before_the_first_step_does_not_count(clock):
    out = io.StringIO()
    with reporting(trainer(), Console(file=out)) as reporter:
        clock.time += 50.0
        reporter.validation(0, 4.0, True)
        for step in (1, 2):
            clock.time += 1.0
            reporter.step(StepReport(step, 4.0 - step, 0.1, 1e-3))
        reporter.validation(2, 3.0, True)
    first, second = out.getvalue().splitlines()
    assert first.startswith("step 0/100")
    assert "loss 2.500 nats" in second  # the mean of 3 and 2
    assert "1:38 left" in second


def test_a_bar_on_a_terminal(clock):
    out = io.StringIO()
    with reporting(trainer(), Console(file=out, force_terminal=True, width=100)) as reporter:
        assert isinstance(reporter, BarReporter)
        for step in range(1, 101):
            clock.time += 0.1
            reporter.step(StepReport(step, 2.0, 0.25, 1e-3))
        reporter.validation(100, 1.5, True)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "100/100" in shown
    assert "loss 2.000 nats 2.885 bits  |g| 0.25  200 char/s  0:00 left" in shown
    assert "validation 1.500 (best)" in shown
