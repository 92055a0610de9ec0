"""The facts and the advice of `minirnn doctor`."""

import sys

import numpy as np
import pytest

import minirnn_kernels
from minirnn.bench import doctor
from minirnn_kernels.cuda.device import Properties
from tests.doubles import fake_cupy

OPENBLAS = {"internal_api": "openblas", "version": "0.3.30", "architecture": "Haswell", "num_threads": 2}


def test_every_subject_has_a_fact():
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
        "kernels: cupy",
        "CuPy",
        "GPU",
        "data folder",
    ):
        assert found[subject].strip(), subject
    assert found["kernels: numpy"] == "can run here"
    assert found["kernels: numba"] == (minirnn_kernels.available()["numba"] or "can run here")
    assert len(doctor.summary()) == 3


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
def test_advice_is_given_only_where_it_applies(change, wide, cores, expected):
    advice = doctor.blas_advice(OPENBLAS | change, wide, cores)
    assert len(advice) == len(expected)
    assert all(words in sentence for words, sentence in zip(expected, advice, strict=True))


@pytest.mark.parametrize("error", [ImportError("no cupy"), OSError("libcuda.so.1: cannot open"), RuntimeError("cuda")])
def test_a_broken_cupy_is_reported_not_raised(monkeypatch, error):
    def broken(_name):
        raise error

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    assert doctor._cupy() == f"CuPy is installed, but importing it fails: {error}"


def test_a_gpu_is_described_with_what_would_run_on_it(gpu, monkeypatch):
    monkeypatch.setattr(doctor, "_properties", Properties)
    found = [(finding.subject, finding.text) for finding in doctor.examine()]
    assert ("CuPy", "14.2.0, CUDA 13.0, driver 13.1") in found
    assert ("GPU", "A GPU of straw, compute capability 9.0, 80 GiB, 132 multiprocessors") in found
    assert ("kernels: cupy", "can run here") in found
    levels = [text for subject, text in found if subject == "CUDA"]
    assert [text.partition(":")[0] for text in levels] == [
        f"LSTM, {T} steps, batch {B}, {H} units" for T, B, H in doctor.LSTM_SIZES
    ]
    assert all("level " in text and "estimate" in text for text in levels)
    monkeypatch.setenv("MINIRNN_CUDA_LEVEL", "1")
    assert all("forced by MINIRNN_CUDA_LEVEL" in text for text in doctor.cuda_levels())
    monkeypatch.setenv("MINIRNN_CUDA_LEVEL", "4")
    assert all("expected 1, 2 or 3" in text for text in doctor.cuda_levels())


def test_a_gpu_that_cant_be_used_is_shown_with_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy.module(error="cudaErrorInsufficientDriver: too old\nmore"))
    monkeypatch.setattr(minirnn_kernels, "available", lambda: {"cupy": "the driver is too old"})
    monkeypatch.setattr(doctor, "first_line", lambda *command: "H100, 500.1, 80 GiB")
    assert "can't use a GPU here: cudaErrorInsufficientDriver: too old. It needs" in doctor._cupy()
    assert doctor._gpu() == "H100, 500.1, 80 GiB"
    assert doctor.cuda_levels() == []
    assert doctor.gpu_advice() == ["There is an NVIDIA GPU, but minirnn can't compute on it: the driver is too old"]
    monkeypatch.setattr(doctor, "first_line", lambda *command: "")
    assert doctor._gpu() == "none found"
    assert doctor.gpu_advice() == []


def test_the_data_folder_shows_what_is_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRNN_DATA", str(tmp_path / "d"))
    assert doctor._data_folder().endswith("(not there yet)")
    (tmp_path / "d").mkdir()
    assert doctor._data_folder().endswith("(empty)")
    (tmp_path / "d" / "tinyshakespeare.txt").write_text("x")
    assert "tinyshakespeare.txt" in doctor._data_folder()
