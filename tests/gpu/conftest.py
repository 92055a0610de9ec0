"""The tests that need a GPU: `make test-gpu`. Without one, each test is skipped with the reason."""

from pathlib import Path

import pytest

import minirnn_kernels
from tests.gpu.devices import Gpu

REASON = minirnn_kernels.available().get("cupy", 'this version of minirnn_kernels has no record "cupy"')


def pytest_collection_modifyitems(items):
    for item in (item for item in items if Path(__file__).parent in item.path.parents):
        item.add_marker(pytest.mark.gpu)
        item.add_marker(pytest.mark.filterwarnings("default"))  # warnings from PyTorch and CuPy are not errors here
        if REASON:
            item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(scope="session")
def gpu():
    """The device, and functions that copy arrays to it and back."""
    return Gpu.of_cupy()


@pytest.fixture(scope="session")
def torch():
    """PyTorch on the GPU, without TF32."""
    found = pytest.importorskip("torch", reason="the comparison needs PyTorch")
    if not found.cuda.is_available():
        pytest.skip("this PyTorch finds no GPU")
    found.backends.cudnn.allow_tf32 = found.backends.cuda.matmul.allow_tf32 = False
    return found
