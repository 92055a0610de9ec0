"""The facts about this machine: descriptions of BLAS, and system commands that are missing or fail."""

import subprocess
import sys

from minirnn import machine

OPENBLAS = {"internal_api": "openblas", "version": "0.3.30", "architecture": "Haswell", "num_threads": 2}


def test_blas_is_described_in_words():
    assert machine.describe_blas(OPENBLAS) == "openblas 0.3.30, Haswell kernels, 2 threads"
    assert machine.describe_blas({"internal_api": "mkl"}) == "mkl, unknown kernels, ? threads"


def test_a_missing_or_failing_program_is_no_error(monkeypatch):
    assert machine.first_line("no-such-program-anywhere") == ""
    assert machine.first_line(sys.executable, "-c", "raise SystemExit(1)") == ""
    assert machine.first_line(sys.executable, "-c", "print('one'); print('two')") == "one"

    def slow(*_args, **_kwargs):
        raise subprocess.TimeoutExpired("x", 10)

    monkeypatch.setattr(subprocess, "run", slow)
    assert machine.first_line(sys.executable) == ""
