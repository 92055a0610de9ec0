"""What the tests of the CUDA kernels need beside Python: the wheels of NVRTC and CuPy, g++. No driver, no GPU.

A test whose tool is missing is skipped, and says so; with MINIRNN_REQUIRE_CUDA_TOOLS=1 it fails.
"""

import os
import shutil

import pytest

from tests.kernels.cuda.emulation import nvrtc as compiler


def missing(reason):
    if os.environ.get("MINIRNN_REQUIRE_CUDA_TOOLS"):
        pytest.fail(f"{reason}, and MINIRNN_REQUIRE_CUDA_TOOLS is set")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def nvrtc():
    """The module nvrtc.py, where its library is installed."""
    if compiler.library() is None:
        missing("NVRTC is not installed (pip install 'minirnn[gpu-test]')")
    return compiler


@pytest.fixture(scope="session")
def gxx():
    """The path of g++."""
    if (path := shutil.which("g++")) is None:
        missing("g++ is not installed")
    return path
