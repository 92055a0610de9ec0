"""One Hypothesis profile: no deadline (machines are noisy); fixed draws in `make test`, fresh ones in `test-all`.

And the fixture `record`: a test that uses it runs with each set of kernels.
"""

import importlib
import os

import hypothesis
import pytest

import minirnn
import minirnn_kernels

hypothesis.settings.register_profile("minirnn", deadline=None, print_blob=True, derandomize=True, max_examples=25)
hypothesis.settings.register_profile("minirnn-all", deadline=None, print_blob=True, max_examples=300)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "minirnn"))

if os.environ.get("MINIRNN_REQUIRE_PEERS"):  # tests skip what they can't compare with; here that would be a failure
    for peer in ("torch", "autograd"):
        importlib.import_module(peer)


@pytest.fixture(scope="module", params=["numpy", pytest.param("numba", marks=pytest.mark.xdist_group("numba"))])
def record(request):
    """The kernels that compute the recurrent layers, by name."""
    if reason := minirnn_kernels.available()[request.param]:
        pytest.skip(reason)
    with minirnn.kernels(request.param):
        yield request.param
