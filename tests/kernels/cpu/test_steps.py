"""Tests of the compiled steps: the contract, in one part and in several; layouts; machine code; threads; forks."""

import os
import re
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn_kernels.cell import CELLS
from minirnn_kernels.cpu import cost_model, launch, sequences, steps
from minirnn_kernels.cpu.emit import step as step_emission
from minirnn_kernels.cpu.emit import vectors
from minirnn_kernels.proof import prove_case
from minirnn_kernels.proof.cases import STEP_CASES
from minirnn_kernels.proof.loop import VARIANTS
from minirnn_kernels.reference.sequences import KERNELS as NUMPY
from tests.kernels.reference.test_steps import draw, states_of

NUMBA = sequences.KERNELS
COMPILED = steps._compiled
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
pytestmark = [
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NUMBA_DISABLE_JIT is set"),
    pytest.mark.xdist_group("numba"),  # one worker compiles
]


def parts_one_by_one(cell, dtype, threads):
    """Replace `_compiled`: run the parts of the threads one after the other, so that no part waits."""
    one = COMPILED(cell, dtype, False)

    def run(*arguments):
        *others, parts = arguments
        for part in range(parts):
            one(*others, part, parts)

    return run if threads else one


def step(cell, arguments, record=NUMBA):
    return states_of(cell, record.of(cell).step(*arguments))


def close(made, expected, terms, dtype):
    for got, right in zip(made, expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=0, atol=2 * (terms + 20) * np.finfo(dtype).eps)


@pytest.fixture
def in_parts(monkeypatch):
    """Compute every step in three parts, whatever its size."""
    monkeypatch.setattr(cost_model, "MIN_WEIGHT_BYTES_FOR_THREADS", 0)
    monkeypatch.setattr(steps, "_rest_until", 0.0)
    monkeypatch.setattr(launch, "thread_count", lambda: 3)
    monkeypatch.setattr(steps, "_compiled", parts_one_by_one)


def prove_steps():
    for cell in VARIANTS:
        for dtype in (np.float32, np.float64):
            for case in STEP_CASES:
                prove_case(NUMBA, cell, case, seed=1, dtype=dtype)


def test_the_contract_is_kept():
    prove_steps()


def test_the_contract_is_kept_in_parts(in_parts):
    prove_steps()


@pytest.mark.parametrize("cell", CELLS)
@given(B=st.integers(0, 3), I=st.integers(1, 150), H=st.integers(1, 70), seed=st.integers(0, 99), single=st.booleans())
def test_any_sizes_agree_with_numpy(cell, B, I, H, seed, single):
    dtype = np.float32 if single else np.float64
    arguments = draw(cell, B, I, H, dtype, seed)
    exact = step(cell, [a.astype(np.float64) for a in arguments], NUMPY)
    close(step(cell, arguments), exact, (I + H) * 2, dtype)


@pytest.mark.parametrize("cell", CELLS)
def test_parts_have_the_bits_of_the_whole(cell, in_parts, monkeypatch):
    arguments = draw(cell, 2, 37, 101, np.float32)
    divided = step(cell, arguments)
    monkeypatch.setattr(cost_model, "MIN_WEIGHT_BYTES_FOR_THREADS", 10**9)
    assert [a.tobytes() for a in divided] == [a.tobytes() for a in step(cell, arguments)]


@pytest.mark.parametrize("cell", CELLS)
def test_a_changed_weight_counts_at_once(cell):
    arguments = draw(cell, 1, 20, 24)
    step(cell, arguments)
    for W in arguments[-4:]:
        W[...] *= 0.5
    close(step(cell, arguments), step(cell, arguments, NUMPY), 44, np.float64)


def strided(a):
    return np.repeat(a, 2, axis=-1)[..., ::2]


def read_only(a):
    a.flags.writeable = False
    return a


def misaligned(a):
    room = np.zeros(a.nbytes + 1, np.uint8)
    moved = room[1:].view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved


@DTYPES
@pytest.mark.parametrize("change", [strided, read_only, misaligned, np.asfortranarray])
@pytest.mark.parametrize("cell", CELLS)
def test_arrays_of_every_kind_are_taken(cell, change, dtype):
    arguments = draw(cell, 2, 20, 9, dtype)
    expected = step(cell, arguments)
    for k in range(len(arguments)):
        mixed = [change(a.copy()) if j == k else a for j, a in enumerate(arguments)]
        for got, right in zip(step(cell, mixed), expected, strict=True):
            assert np.array_equal(got, right)


def test_many_rows_are_left_to_the_sequences(monkeypatch):
    def refused(*_):
        raise AssertionError("a large batch reached the step kernels")

    monkeypatch.setattr(steps, "_run", refused)
    for cell in CELLS:
        arguments = draw(cell, cost_model.MAX_ROWS_FOR_STEP_KERNELS + 1, 5, 6)
        close(step(cell, arguments), step(cell, arguments, NUMPY), 11, np.float64)
        with pytest.raises(AssertionError, match="step kernels"):
            step(cell, draw(cell, cost_model.MAX_ROWS_FOR_STEP_KERNELS, 5, 6))


def test_what_is_no_matter_of_layout_is_not_tried_for_ever():
    arguments = draw("lstm", 1, 5, 6)
    arguments[3] = arguments[3].astype(np.float32)
    with pytest.raises(TypeError, match="expected arrays of one kind and dtype"):
        NUMBA.lstm.step(*arguments)


def test_the_machine_code_multiplies_and_adds_in_vectors_and_calls_no_libm():
    if vectors.machine().name not in ("AVX-512", "AVX2"):
        pytest.skip("written for x86")
    units = steps._lstm_units
    step("lstm", draw("lstm", 1, 5, 6, np.float32))
    function = steps._compiled("lstm", np.dtype(np.float32), False)
    assert function.signatures
    fresh = numba.njit(error_model="numpy")(units.py_func)
    fresh.compile(function.signatures[0])
    code = fresh.inspect_asm(fresh.signatures[0])
    register = "%zmm" if vectors.machine().name == "AVX-512" else "%ymm"
    sums = code.split("\nminirnn_sums_float32:")[1].split(".Lfunc_end")[0]
    fused = [line for line in sums.splitlines() if "vfmadd" in line and register in line]
    assert len(fused) >= 2 * step_emission.ROWS * step_emission.CHUNKS
    called = set(re.findall(r"(?:call|callq|jmp|movabsq)\s+\$?([A-Za-z_]\w*)", code))
    assert not [name for name in called if re.fullmatch(r"(exp|exp2|expm1|tanh|fma|pow|ldexp)f?", name)]


# ---- threads, processes


@pytest.fixture
def on_threads(monkeypatch):
    monkeypatch.setattr(cost_model, "MIN_WEIGHT_BYTES_FOR_THREADS", 0)
    monkeypatch.setattr(steps, "_rest_until", 0.0)
    monkeypatch.setattr(launch, "thread_count", lambda: 2)


@pytest.mark.parametrize("cell", CELLS)
def test_threads_give_the_bits_of_one(cell, on_threads, monkeypatch):
    arguments = draw(cell, 2, 37, 101)
    divided = step(cell, arguments)
    monkeypatch.setattr(cost_model, "MIN_WEIGHT_BYTES_FOR_THREADS", 10**9)
    assert [a.tobytes() for a in divided] == [a.tobytes() for a in step(cell, arguments)]


def test_several_python_threads_may_step_at_once(on_threads):
    arguments = draw("lstm", 1, 30, 50)
    expected = step("lstm", arguments)[0]
    wrong = []

    def compute():
        for _ in range(20):
            if not np.array_equal(step("lstm", arguments)[0], expected):
                wrong.append(1)

    workers = [threading.Thread(target=compute) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_after_a_long_wait_one_thread_takes_over_for_a_while(on_threads, monkeypatch):
    """Use a fake clock that advances 8 ms at each call, as if the threads had waited for a core."""
    now, asked = [100.0], []

    def clock():
        now[0] += 0.008
        return now[0]

    monkeypatch.setattr(steps, "perf_counter", clock)
    monkeypatch.setattr(launch, "thread_count", lambda: asked.append(now[0]) or 2)
    arguments = draw("rnn", 1, 5, 6)
    for _ in range(40):
        step("rnn", arguments)
    assert 2 <= len(asked) <= 5  # at least 40 calls of the clock, 0.32 s; after each delay, 0.13 s without threads
    assert asked[1] - asked[0] > 16 * 0.008


PROGRAM = """
import os, numpy as np
import minirnn_kernels
from minirnn_kernels.cpu import cost_model, steps
cost_model.MIN_WEIGHT_BYTES_FOR_THREADS = 0
k = minirnn_kernels.get("numba")
a = [np.ones(s) for s in [(1, 3), (1, 5), (1, 5), (20, 3), (20, 5), (20,)]]
before = k.lstm.step(*a)[0]
"""


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM + program],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


GUARDED = """
import ctypes, mmap
rooms = []

def guarded(a):
    "Return a copy that ends where an unreadable page begins."
    size, page = a.nbytes, mmap.PAGESIZE
    whole = -(-size // page) * page
    room = mmap.mmap(-1, whole + page)
    rooms.append(room)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    assert not ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + whole), page, 0)
    copy = np.frombuffer(room, a.dtype, a.size, whole - size).reshape(a.shape)
    copy[...] = a
    return copy

rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    for I, H in ((37, 101), (1, 1), (64, 33)):
        shapes = [(1, I), (1, H), (1, H), (4 * H, I), (4 * H, H), (4 * H,)]
        a = [rng.standard_normal(s).astype(dtype) for s in shapes]
        assert np.array_equal(k.lstm.step(*map(guarded, a))[0], k.lstm.step(*a)[0])
print("no fault", flush=True)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="written for Linux")
def test_nothing_is_read_past_the_end_of_an_array():
    done = run(GUARDED)
    assert done.stdout.strip() == "no fault", (done.returncode, done.stderr)


AT_ONCE = """
import threading
steps.launch.thread_count = lambda: 2
threads = [threading.Thread(target=lambda: [k.lstm.step(*a) for _ in range(500)]) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print("done")
"""


def test_calls_take_turns():
    """Numba's workqueue threads, the fallback layer, end the process if two callers use them at once."""
    done = run(AT_ONCE, NUMBA_THREADING_LAYER="workqueue", NUMBA_NUM_THREADS="2")
    assert done.stdout.strip() == "done", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_can_step():
    done = run(
        "pid = os.fork()\n"
        "if not pid:\n"
        "    os._exit(0 if np.array_equal(k.lstm.step(*a)[0], before) else 3)\n"
        "print(os.waitpid(pid, 0)[1])",
        NUMBA_NUM_THREADS="2",
    )
    assert done.stdout.strip() == "0", done.stderr


def test_without_compilation_numpy_steps():
    done = run(
        "from minirnn_kernels.reference import steps\nprint(k.name, k.lstm.step.__wrapped__ is steps.lstm_step)",
        NUMBA_DISABLE_JIT="1",
    )
    assert done.stdout.strip() == "numba True"
