"""memory.py: taking and giving back cost the same however many arrays the pool has seen, and the pool is bounded."""

import sys
import threading

import numpy as np
import pytest

from minirnn_kernels.cpu import memory


@pytest.fixture
def pool(monkeypatch):
    """Return an empty pool in place of this thread's."""
    own = memory._Pool()
    monkeypatch.setattr(memory, "_pool", own)
    return own


def lines_of(function):
    """Return how many lines of memory.py a call executes."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        if frame.f_code.co_filename != memory.__file__:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shapes", [[(16, 64)], [(n, 7) for n in range(1, 40)]], ids=["one shape", "many shapes"])
def test_the_cost_of_a_step_does_not_grow_with_the_number_of_steps(pool, shapes):
    """The loop over a recorded cell borrows at each step and gives back at the end, in its backward pass."""

    def cost(steps):
        held = [memory.borrowed(*shapes[k % len(shapes)], dtype=np.float32) for k in range(steps)]
        memory.give_back(*held)

        def step():
            memory.give_back(memory.borrowed(16, 64, dtype=np.float32))

        step()
        return lines_of(step)

    assert cost(10_000) <= cost(100)


def test_the_pool_keeps_a_bounded_number_of_arrays_and_bytes(pool, monkeypatch):
    monkeypatch.setattr(memory, "POOL_LIMIT", 1 << 20)
    memory.give_back(*[memory.borrowed(100, dtype=np.float64) for _ in range(1000)])
    assert sum(map(len, pool.free.values())) == memory.MOST_PER_SIZE
    for n in range(1, 60):
        memory.give_back(memory.borrowed(1000 * n, dtype=np.float64))
        assert pool.bytes == sum(size * len(arrays) for size, arrays in pool.free.items()) <= 1 << 20


def test_the_size_that_was_used_last_is_kept(pool, monkeypatch):
    monkeypatch.setattr(memory, "POOL_LIMIT", 100_000)
    old, new = memory.borrowed(10_000, dtype=np.float32), memory.borrowed(15_000, dtype=np.float32)
    address = new.ctypes.data
    memory.give_back(old, new)
    assert memory.borrowed(15_000, dtype=np.float32).ctypes.data == address


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_borrowed_array_is_aligned_and_has_room_behind_it(pool, dtype):
    for shape in ((3,), (5, 7), (64, 65), (1, 4097)):
        for _ in range(2):
            array = memory.borrowed(*shape, dtype=dtype)
            assert array.shape == shape
            assert array.dtype == dtype
            assert array.ctypes.data % memory.LINE == 0
            end = array.ctypes.data + array.nbytes
            assert array.base.ctypes.data + array.base.nbytes >= end + memory.PADDING - memory.LINE
            memory.give_back(array)


def test_each_thread_has_its_own_pool():
    seen = []
    memory.give_back(memory.borrowed(33, dtype=np.float32))
    thread = threading.Thread(target=lambda: seen.append(dict(memory._pool.free)))
    thread.start()
    thread.join()
    assert seen == [{}]
