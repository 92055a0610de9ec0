"""The child process: it answers, it is started again if it ends, and it leaves no open files."""

import os

import pytest

from minirnn.assignments import TASKS
from minirnn.assignments.catalogue import gallery
from minirnn.assignments.diagnosis.probes import Probe, problem
from minirnn.assignments.sandbox.runner import CannotLoad, File

TASK = TASKS["rnn_step"]


def test_a_process_that_ended_is_started_again(tmp_path):
    path = tmp_path / "student.py"
    dies = "\n\ndef rnn_step_backward(dnext_h, cache):\n    import os\n    os._exit(7)\n"
    path.write_text(gallery.answers() + dies)
    given, into = problem(TASK, Probe("base"), 0, {})
    with File(path) as file:
        first = file.run(TASK, given, into)
        assert first.failure.kind == "stopped"
        assert "exit code 7" in first.failure.message
        again = file.run(TASKS["gru_step"], *problem(TASKS["gru_step"], Probe("base"), 0, {}))
        assert again.failure is None
        file.fresh()
        assert file.has("rnn_step_forward")


def test_no_descriptor_is_left_open(tmp_path):
    path = tmp_path / "student.py"
    path.write_text("x = 1\n")
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        pytest.skip("no /proc")
    before = len(os.listdir(folder))
    for _ in range(3):
        with File(path):
            pass
    path.write_text("1 +\n")
    with pytest.raises(CannotLoad), File(path):
        pass
    assert len(os.listdir(folder)) == before
