"""precision.py: a precision is set for the process or inside a block, and unknown names are errors."""

import threading

import pytest

from minirnn_kernels.precision import current, precision


@pytest.fixture(autouse=True)
def strict_afterwards():
    yield
    precision("strict")


def test_strict_unless_chosen():
    assert current() == "strict"


def test_a_call_chooses_for_the_process():
    precision("fast")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(current()))
    thread.start()
    thread.join()
    assert current() == "fast"
    assert seen == ["fast"]


def test_a_block_chooses_for_itself_and_its_thread():
    precision("high")
    seen = []
    with precision("fast"):
        assert current() == "fast"
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
        with precision("strict"):
            assert current() == "strict"
        assert current() == "fast"
    assert current() == "high"
    assert seen == ["high"]


@pytest.mark.parametrize("name", ["tf32", "", None])
def test_an_unknown_precision_is_an_error(name):
    with pytest.raises(ValueError, match=f"precision is {name!r}, expected one of 'strict', 'high', 'fast'"):
        precision(name)
    assert current() == "strict"
