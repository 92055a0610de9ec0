"""No argument that does not fit reaches compiled code: cases of fuzz_memory.py, each in a child process."""

import pytest

from tests.kernels import fuzz_memory


def test_arguments_that_do_not_fit_are_errors():
    assert fuzz_memory.run(1000) == []


@pytest.mark.slow
def test_many_arguments_that_do_not_fit_are_errors():
    assert fuzz_memory.run(20_000, seed=1) == []
