"""CuPy without a driver: imports work, "cupy" says why it can't run, and CuPy has the functions that we call."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.kernels.cuda.conftest import missing


@pytest.fixture(autouse=True)
def _wheel():
    if importlib.util.find_spec("cupy") is None:
        missing("CuPy is not installed (pip install 'minirnn[gpu-test]')")


def python(program):
    """Return what a program prints in a new process in which no GPU is visible; warnings are errors."""
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"], "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], env=env, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_the_reason_is_given_and_the_others_run():
    program = (
        "import minirnn, minirnn_kernels\n"
        "found = minirnn_kernels.available(); assert found['numpy'] is None; print(found['cupy'])"
    )
    assert "CuPy finds no" in python(program)


def test_importing_minirnn_imports_no_cupy():
    assert python("import sys, minirnn, minirnn.cli; print('cupy' in sys.modules)") == "False"


# The functions that cuda/cupy_device.py and cuda/cupy_record.py call, except the methods of arrays.
NAMES = (
    "RawModule",
    "cuda.Device",
    "cuda.Stream",
    "cuda.get_current_stream",
    "cuda.get_cublas_handle",
    "cuda.is_available",
    "cuda.runtime.getDevice",
    "cuda.runtime.getDeviceCount",
    "cuda.runtime.getDeviceProperties",
    "cuda.runtime.driverGetVersion",
    "cuda.runtime.runtimeGetVersion",
    "cuda.runtime.deviceGetAttribute",
    "cuda.runtime.hostAlloc",
    "cuda.runtime.hostAllocMapped",
    "cuda.runtime.hostAllocPortable",
    "cuda.runtime.CUDA_R_32F",
    "cuda.runtime.CUDA_R_64F",
    "cuda.runtime.CUDA_R_16F",
    "cuda.runtime.CUDA_R_16BF",
    "cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor",
)


def test_cupy_has_the_functions_that_the_kernels_call():
    program = f"import cupy, operator; [operator.attrgetter(name)(cupy) for name in {NAMES}]"
    assert python(program) == ""
