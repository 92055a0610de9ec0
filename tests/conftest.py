"""One Hypothesis profile for every test: no deadline (machines are noisy); fixed draws in `make test`, fresh ones in `make test-all`."""

import os

import hypothesis

hypothesis.settings.register_profile("minirnn", deadline=None, print_blob=True, derandomize=True, max_examples=25)
hypothesis.settings.register_profile("minirnn-all", parent=hypothesis.settings.get_profile("minirnn"), derandomize=False, max_examples=300)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "minirnn"))
