"""One Hypothesis profile: no deadline (machines are noisy); fixed draws in `make test`, fresh ones in `test-all`."""

import importlib
import os

import hypothesis

hypothesis.settings.register_profile("minirnn", deadline=None, print_blob=True, derandomize=True, max_examples=25)
hypothesis.settings.register_profile("minirnn-all", deadline=None, print_blob=True, max_examples=300)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "minirnn"))

if os.environ.get("MINIRNN_REQUIRE_PEERS"):  # tests skip what they can't compare with; here that would be a failure
    for peer in ("torch", "autograd"):
        importlib.import_module(peer)
