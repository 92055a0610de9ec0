"""The tools of the tests of the CUDA kernels: g++ and the wheels of NVRTC and CuPy. They need no driver and no GPU.

A test whose tool is missing is skipped, with the reason; with MINIRNN_REQUIRE_CUDA_TOOLS=1 it fails.
"""

import os
import shutil

import pytest

from tests.kernels.cuda import nvrtc as compiler


def missing(reason):
    """Skip the test, or fail if the tools are required."""
    if os.environ.get("MINIRNN_REQUIRE_CUDA_TOOLS"):
        pytest.fail(f"{reason}, and MINIRNN_REQUIRE_CUDA_TOOLS is set")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def nvrtc():
    """The module nvrtc.py; the test is skipped if its library is not installed."""
    if compiler.library() is None:
        missing("NVRTC is not installed (pip install 'minirnn[gpu-test]')")
    return compiler


@pytest.fixture(scope="session")
def gxx():
    """The path of g++; the test is skipped if it is not installed."""
    if (path := shutil.which("g++")) is None:
        missing("g++ is not installed")
    return path
