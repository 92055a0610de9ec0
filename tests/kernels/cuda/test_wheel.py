"""The wheel of CuPy where no driver is: all imports, "cupy" says why it can't run, CuPy has what is called in it."""

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
    """What a new process prints that sees no GPU, whatever the machine has; a warning ends it."""
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


# What cuda/cupy_device.py and cuda/cupy_record.py call, beside the arrays' functions.
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


def test_cupy_has_what_is_called():
    program = f"import cupy, operator; [operator.attrgetter(name)(cupy) for name in {NAMES}]"
    assert python(program) == ""
