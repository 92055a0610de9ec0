"""The Hypothesis profiles and the fixtures that all tests share.

Hypothesis has no deadline, because machines are noisy. `make test` repeats the same draws; `make test-all` draws new
ones.
"""

import importlib
import os
import sys

import hypothesis
import pytest

import minirnn
import minirnn_kernels
from tests.doubles import fake_cupy

hypothesis.settings.register_profile("minirnn", deadline=None, print_blob=True, derandomize=True, max_examples=25)
hypothesis.settings.register_profile("minirnn-all", deadline=None, print_blob=True, max_examples=300)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "minirnn"))

if os.environ.get("MINIRNN_REQUIRE_PEERS"):  # fail here instead of skipping the comparisons with a missing peer
    for peer in ("torch", "autograd"):
        importlib.import_module(peer)


@pytest.fixture(scope="module", params=["numpy", pytest.param("numba", marks=pytest.mark.xdist_group("numba"))])
def record(request):
    """Run the test once with each set of kernels for the recurrent layers. The value is their name."""
    if reason := minirnn_kernels.available()[request.param]:
        pytest.skip(reason)
    with minirnn.kernels(request.param):
        yield request.param


@pytest.fixture
def gpu(monkeypatch):
    """Replace the module cupy and the kernels "cupy" by fakes that compute on the host. The value is the module."""
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy.module())
    known = {"cupy": fake_cupy.kernels()}
    get = minirnn_kernels.get
    monkeypatch.setattr(minirnn_kernels, "get", lambda name: known[name] if name in known else get(name))
    return sys.modules["cupy"]
