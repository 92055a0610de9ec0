"""Fixtures for the tests of the emulator: its compiled example kernels. Without g++ these tests are skipped."""

import pytest

from tests.kernels.cuda.emulation import library
from tests.kernels.cuda.emulation.example_kernels import BLOCKS, NUMBERS, WRONG


@pytest.fixture(autouse=True, scope="session")
def compiler():
    if reason := library.missing():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def blocks(compiler):
    """The correct kernels."""
    return library.build(BLOCKS)


@pytest.fixture(scope="session")
def wrong(compiler):
    """The kernels with errors."""
    return library.build(WRONG)


@pytest.fixture(scope="session")
def numbers(compiler):
    """The kernels that convert and multiply numbers."""
    return library.build(NUMBERS)
