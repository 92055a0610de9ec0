"""The doctor's facts and its advice."""

import subprocess
import sys

import numpy as np
import pytest

import minirnn_kernels
from minirnn import doctor

OPENBLAS = {"internal_api": "openblas", "version": "0.3.30", "architecture": "Haswell", "num_threads": 2}


def test_it_names_what_is_asked_of_it():
    found = {finding.subject: finding.text for finding in doctor.examine()}
    assert found["numpy"] == np.__version__
    assert found["Python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    for subject in (
        "minirnn",
        "numba",
        "CPU",
        "CPU features",
        "BLAS",
        "kernels: numpy",
        "kernels: loops",
        "kernels: fused",
        "kernels: numba",
        "CuPy",
        "GPU",
        "data folder",
    ):
        assert found[subject].strip(), subject
    assert found["kernels: numpy"] == "can run here"
    assert found["kernels: numba"] == (minirnn_kernels.available()["numba"] or "can run here")
    assert len(doctor.summary()) == 3


def test_blas_is_described_in_words():
    assert doctor.describe_blas(OPENBLAS) == "openblas 0.3.30, Haswell kernels, 2 threads"
    assert doctor.describe_blas({"internal_api": "mkl"}) == "mkl, unknown kernels, ? threads"


@pytest.mark.parametrize(
    ("change", "wide", "cores", "expected"),
    [
        ({}, True, 2, ["OPENBLAS_CORETYPE=SkylakeX"]),
        ({"architecture": "Zen"}, True, 2, ["OPENBLAS_CORETYPE=SkylakeX"]),
        ({"architecture": "SkylakeX"}, True, 2, []),
        ({}, False, 2, []),
        ({"internal_api": "mkl"}, True, 2, []),
        ({"num_threads": 1}, False, 2, ["1 of 2 cores"]),
        ({"num_threads": 1}, True, 4, ["OPENBLAS_CORETYPE", "1 of 4 cores"]),
    ],
)
def test_advice_is_given_where_it_applies_and_only_there(change, wide, cores, expected):
    advice = doctor.blas_advice(OPENBLAS | change, wide, cores)
    assert len(advice) == len(expected)
    assert all(words in sentence for words, sentence in zip(expected, advice, strict=True))


def test_a_missing_or_failing_program_is_no_error(monkeypatch):
    assert doctor._output("no-such-program-anywhere") == ""
    assert doctor._output(sys.executable, "-c", "raise SystemExit(1)") == ""
    assert doctor._output(sys.executable, "-c", "print('one'); print('two')") == "one"

    def slow(*_args, **_kwargs):
        raise subprocess.TimeoutExpired("x", 10)

    monkeypatch.setattr(subprocess, "run", slow)
    assert doctor._output(sys.executable) == ""


@pytest.mark.parametrize("error", [ImportError("no cupy"), OSError("libcuda.so.1: cannot open"), RuntimeError("cuda")])
def test_a_broken_cupy_is_reported_not_raised(monkeypatch, error):
    def broken(_name):
        raise error

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    assert "install" in doctor._cupy()


def test_the_data_folder_shows_what_is_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRNN_DATA", str(tmp_path / "d"))
    assert doctor._data_folder().endswith("(not there yet)")
    (tmp_path / "d").mkdir()
    assert doctor._data_folder().endswith("(empty)")
    (tmp_path / "d" / "tinyshakespeare.txt").write_text("x")
    assert "tinyshakespeare.txt" in doctor._data_folder()
