"""cuda/cupy_record.py: if these kernels can't run, the reason says what is missing and what to do."""

import os
import subprocess
import sys
import types

import pytest

import minirnn_kernels
from tests.doubles import fake_cupy


def reason(monkeypatch, change=lambda modules: None):
    """Return the reason why the record can't run with a fake CuPy that `change` has altered; None if it can."""
    modules, _ = fake_cupy.install(monkeypatch)
    change(modules)
    minirnn_kernels.get.cache_clear()
    monkeypatch.setattr(minirnn_kernels, "_MODULES", {"cupy": "minirnn_kernels.cuda.cupy_record"})
    try:
        return minirnn_kernels.available()["cupy"]
    finally:
        minirnn_kernels.get.cache_clear()
        for name in ("minirnn_kernels.cuda.cupy_device", "minirnn_kernels.cuda.cupy_record"):
            sys.modules.pop(name, None)


def raising(error):
    def call(*args):
        raise error

    return call


def test_a_complete_installation_can_run(monkeypatch):
    assert reason(monkeypatch) is None


def test_a_cupy_that_is_too_old(monkeypatch):
    def change(modules):
        modules["cupy"].__version__ = "13.6.0"

    assert "CuPy 13.6.0 is too old, 14.0 or newer is needed; pip install 'minirnn[gpu]'" in reason(monkeypatch, change)


@pytest.mark.parametrize("version", ["14.0.0rc1", "14.2.0", "15.0"])
def test_a_cupy_that_is_new_enough(monkeypatch, version):
    def change(modules):
        modules["cupy"].__version__ = version

    assert reason(monkeypatch, change) is None


def test_no_driver(monkeypatch):
    def change(modules):
        modules["cupy"].cuda.runtime.driverGetVersion = lambda: 0

    assert reason(monkeypatch, change).startswith("CuPy finds no NVIDIA driver")


def test_a_driver_that_is_too_old(monkeypatch):
    def change(modules):
        runtime = modules["cupy"].cuda.runtime
        runtime.driverGetVersion = lambda: 12040
        runtime.getDeviceCount = raising(
            fake_cupy.CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is ...")
        )

    found = reason(monkeypatch, change)
    assert "driver is too old for this CuPy (it supports CUDA 12.4, CuPy needs 13.0)" in found


def test_no_gpu(monkeypatch):
    def none(modules):
        modules["cupy"].cuda.runtime.getDeviceCount = lambda: 0

    def error(modules):
        runtime = modules["cupy"].cuda.runtime
        runtime.getDeviceCount = raising(
            fake_cupy.CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
        )

    assert "no GPU (CUDA_VISIBLE_DEVICES may hide it)" in reason(monkeypatch, none)
    assert "no GPU: CUDARuntimeError: cudaErrorNoDevice" in reason(monkeypatch, error)


def test_a_gpu_that_is_too_old(monkeypatch):
    def change(modules):
        modules["cupy"].cuda.Device = lambda: types.SimpleNamespace(compute_capability="75")

    assert reason(monkeypatch, change) == "the GPU has compute capability 7.5, 8.0 (Ampere) or newer is needed"


def test_a_gpu_of_another_vendor(monkeypatch):
    def change(modules):
        modules["cupy"].cuda.runtime.is_hip = True

    assert "ROCm" in reason(monkeypatch, change)


def test_a_missing_library(monkeypatch):
    def no_nvrtc(modules):
        modules["cupy_backends.cuda.libs"].nvrtc.getVersion = raising(RuntimeError("libnvrtc.so.13 not found\nmore"))

    def no_cublas(modules):
        del modules["cupy_backends.cuda.libs"].cublas

    for change, word in ((no_nvrtc, "libnvrtc.so.13 not found"), (no_cublas, "cublas")):
        found = reason(monkeypatch, change)
        assert "a CUDA library that these kernels need is missing; pip install 'minirnn[gpu]'" in found
        assert word in found
        assert "\n" not in found


def python(folder, **modules):
    """Return the reason in a new process whose path begins with these modules."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    env = {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), "PATH": os.environ["PATH"]}
    program = "import minirnn_kernels; print(minirnn_kernels.available()['cupy'])"
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_cupy_isnt_installed(tmp_path):
    text = "import sys\nraise ModuleNotFoundError(\"No module named 'cupy'\", name='cupy')"
    assert python(tmp_path, cupy=text) == "CuPy isn't installed; pip install 'minirnn[gpu]'"


def test_a_dependency_of_cupy_isnt_installed(tmp_path):
    found = python(tmp_path, cupy="import no_such_module_of_cupys")
    assert found == "CuPy is installed, but no_such_module_of_cupys, which it needs, isn't; pip install 'minirnn[gpu]'"


@pytest.mark.parametrize("error", ["OSError", "RuntimeError", "ImportError", "AttributeError"])
def test_a_broken_installation(tmp_path, error):
    found = python(tmp_path, cupy=f"raise {error}('libcuda is broken\\nand more')")
    assert found == f"CuPy is installed, but importing it fails: {error}: libcuda is broken"
