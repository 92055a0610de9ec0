"""Whole files in a child process: whatever a file does, the report has a verdict and a reason."""

import pytest

from minirnn.assignments import check_file, sweep_file
from minirnn.assignments.catalogue import gallery
from minirnn.assignments.sandbox import runner
from minirnn.assignments.sandbox.runner import CannotLoad

ANSWERS = gallery.answers()
STEP = """
import numpy as np
def rnn_step_forward(x, prev_h, Wx, Wh, b):
    return np.tanh(x @ Wx + prev_h @ Wh + b), None
"""


@pytest.fixture
def check(tmp_path):
    def run(source, **options):
        path = tmp_path / "student.py"
        if source is not None:
            path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return check_file(path, **options)

    return run


def test_the_model_answers_pass(check):
    report = check(ANSWERS)
    assert report.exit_code == 0
    assert len(report.findings) == 11
    assert {finding.status for finding in report.findings} == {"right"}


def test_one_assignment_alone(check):
    assert [finding.task.name for finding in check(ANSWERS, only="lstm").findings] == ["lstm_step", "lstm"]
    with pytest.raises(ValueError, match="no assignment 'tennis'"):
        check(ANSWERS, only="tennis")


def test_a_wrong_step_explains_the_sequence(check):
    report = check(gallery.specimen("f-input").source, only="lstm")
    assert report.exit_code == 1
    assert [finding.named for finding in report.findings] == [["f-input"], ["f-input"]]
    assert any("lstm_step is wrong too" in note for note in report.findings[1].notes)


CANNOT = {
    "a syntax error": ("def f(:\n", "syntax error: invalid syntax (line 1: `def f(:`)"),
    "bytes": (b"\xff\xfe", "not UTF-8"),
    "an import that fails": ("import numpy as np\nimport no_such_thing\n", "(line 2: `import no_such_thing`)"),
    "an error at the top": ("x = [][1]\n", "IndexError"),
    "nothing of interest": ("x = 1\n", "none of the functions"),
    "an exit": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "a crash": ("import os\nos._exit(3)\n", "exit code 3"),
    "NumPy replaced": ("import numpy as np\nnp.tanh = np.sin\n" + STEP, "replaces numpy.tanh"),
}


@pytest.mark.parametrize("what", CANNOT)
def test_what_cannot_be_judged_says_why(check, what):
    source, words = CANNOT[what]
    report = check(source)
    assert report.exit_code == 2
    assert words in report.problem


BROKEN = {
    "raises": ("raise KeyError('h')", "raised KeyError: 'h' (line 6"),
    "exits": ("raise SystemExit(1)", "SystemExit"),
    "crashes": ("import os; os._exit(4)", "exit code 4"),
    "segfaults": ("import ctypes; ctypes.string_at(0)", "exit code -11"),
    "too few results": ("return 1, 2", "returned 2 results, expected 5"),
    "closes its output": ("import os; os.close(1); os.close(2); raise ValueError('x')", "ValueError: x"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_functions_that_break(check, what):
    body, words = BROKEN[what]
    report = check(STEP + f"def rnn_step_backward(dnext_h, cache):\n    {body}\n", only="rnn")
    assert report.exit_code == 2
    assert words in str(report.findings[0].failure)


def test_a_loop_without_end_is_stopped_and_its_line_named(tmp_path):
    path = tmp_path / "student.py"
    path.write_text(STEP + "def rnn_step_backward(dnext_h, cache):\n    while True:\n        pass\n")
    with runner.File(path, limit=0.5) as file:
        from minirnn.assignments import TASKS, judge

        failure = judge(file, TASKS["rnn_step"]).failure
    assert failure.kind == "stopped"
    assert failure.function == "rnn_step_backward"
    assert failure.line in (6, 7)
    assert "ran for more than 0.5 seconds" in failure.message


def test_a_file_that_loads_for_ever(tmp_path):
    path = tmp_path / "student.py"
    path.write_text("while True:\n    pass\n")
    with (
        pytest.raises(CannotLoad, match=r"importing it takes more than 0.5 seconds \(line [12]"),
        runner.File(path, 0.5),
    ):
        pass


def test_noise_and_global_state_disturb_nothing(check):
    noise = """
import os, sys, warnings
import numpy as np
print("x" * 100000, "\\x00\\xff", file=sys.stderr)
np.seterr(all="raise"); np.random.seed(3); warnings.simplefilter("error"); os.environ["PATH"] = ""; sys.path.clear()
sys.stdout = None; sys.stderr = None
sys.setrecursionlimit(200)
sum = max = None
"""
    report = check(noise + ANSWERS, only="rnn")
    assert [finding.status for finding in report.findings] == ["right", "right"]
    assert report.exit_code == 0


def test_accumulated_state_is_found_across_the_process(check):
    report = check(gallery.specimen("accumulated").source, only="rnn")
    assert report.findings[1].named == ["accumulated"]


def test_gates_and_truncation_reach_the_judge(check):
    assert check(ANSWERS, only="lstm", gates="ifgo").exit_code == 1
    report = check(ANSWERS, only="rnn", truncate=2)
    assert [finding.status for finding in report.findings] == ["right", "wrong"]


def test_the_curve_of_a_right_file_reaches_down(tmp_path):
    path = tmp_path / "student.py"
    path.write_text(ANSWERS)
    ((name, curve),) = sweep_file(path, only="rnn_step")
    assert name == "rnn_step"
    assert all(errors.min() < 1e-8 for errors in curve.errors.values())
    path.write_text("x = 1")
    with pytest.raises(CannotLoad):
        sweep_file(path)
