"""Tests of the record "numba": the contract, in one part and in two; machine code; threads, forks, no compiler."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

from minirnn_kernels.cpu import compilation, cost_model, launch, memory, sequence_pass, sequences
from minirnn_kernels.cpu.emit import vectors
from minirnn_kernels.cpu.job import JOB
from minirnn_kernels.proof import prove
from minirnn_kernels.reference.sequences import KERNELS as NUMPY

NUMBA = sequences.KERNELS
pytestmark = [
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NUMBA_DISABLE_JIT is set"),
    pytest.mark.xdist_group("numba"),  # one worker compiles
]


@pytest.fixture(params=["one thread", "rows", "units"])
def shares(request, monkeypatch):
    """Run each test on one thread, and on two that share rows or units, for arrays of any size."""
    monkeypatch.setattr(cost_model, "MIN_MULTIPLY_ADDS_FOR_THREADS", 0)
    monkeypatch.setattr(cost_model, "MIN_MULTIPLY_ADDS_FOR_BARRIER", 0)
    monkeypatch.setattr(cost_model, "MIN_ROWS_PER_THREAD", 1_000_000 if request.param == "units" else 0)
    monkeypatch.setattr(launch, "thread_count", lambda: 1 if request.param == "one thread" else 2)
    before = numba.get_num_threads()
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    yield request.param
    numba.set_num_threads(before)


@pytest.fixture(autouse=True)
def dirty_memory(monkeypatch):
    """Fill reused memory, whose contents are arbitrary, with NaN."""

    def borrowed(*shape, dtype):
        array = memory.aligned(*shape, dtype=dtype)
        array.base.view(dtype)[:] = np.nan
        return array

    monkeypatch.setattr(sequences, "borrowed", borrowed)


def lstm_arguments(T, B, I, H, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(T, B, I), (B, H), (B, H), (4 * H, I), (4 * H, H), (4 * H,)]
    return [(rng.standard_normal(s) / (np.sqrt(s[-1]) if len(s) == 2 else 1)).astype(dtype) for s in shapes]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_contract_is_kept(shares, seed):
    prove(NUMBA, seed)


@pytest.mark.parametrize("lengths", [None, [40, 3, 17, 40, 1, 25, 8]])
def test_sizes_of_several_blocks_agree_with_numpy(shares, lengths):
    """Use more terms than one block of a weight's gradient, and more gates than one block of a panel."""
    T, B, I, H = 40, 7, 70, 270
    arguments = lstm_arguments(T, B, I, H, np.float64)
    lengths = None if lengths is None else np.array(lengths)
    dout = np.random.default_rng(1).standard_normal((T, B, H))
    results = []
    for record in (NUMBA, NUMPY):
        *states, cache = record.lstm.forward(*arguments, lengths)
        results.append([*states, *record.lstm.backward(dout, None, None, cache)])
    tolerance = np.finfo(np.float64).eps * 2 * T * (I + H)  # one rounding per term and step, forward and backward
    for ours, numpys in zip(*results, strict=True):
        np.testing.assert_allclose(ours, numpys, rtol=0, atol=tolerance * np.abs(numpys).max())


def test_many_terms_in_a_weights_gradient(shares):
    """Use more rows of the batch than one block of the sum over them."""
    arguments = lstm_arguments(sequence_pass.TERMS_BLOCK + 5, 3, 4, 5, np.float64)
    dout = np.random.default_rng(1).standard_normal((sequence_pass.TERMS_BLOCK + 5, 3, 5))
    ours, numpys = (r.lstm.backward(dout, None, None, r.lstm.forward(*arguments)[-1]) for r in (NUMBA, NUMPY))
    for a, b in zip(ours, numpys, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11 * np.abs(b).max())


# ---- the machine code


@pytest.mark.parametrize(
    ("work", "dtype"), [(sequence_pass.forward_steps, np.float32), (sequence_pass.backward_steps, np.float64)]
)
def test_the_machine_code_keeps_a_tile_in_registers_and_calls_no_libm(work, dtype):
    if vectors.machine().name not in ("AVX-512", "AVX2"):
        pytest.skip("written for x86")

    @numba.njit
    def steps(part, job, like):
        work(part, numba.carray(job, 1)[0], like)

    types = numba.types
    number = types.float32 if dtype == np.float32 else types.float64
    job = types.CPointer(numba.from_dtype(JOB))
    steps.compile(types.void(types.int64, job, types.CPointer(number)))
    code = steps.inspect_asm(steps.signatures[0])
    register = "%zmm" if vectors.machine().name == "AVX-512" else "%ymm"
    width = vectors.machine().panel
    for rows in range(1, vectors.machine().rows[width] + 1):
        name = f"minirnn_tile_{rows}x{width}_{np.dtype(dtype).name}"
        tile = code.split(f"\n{name}:")[1].split(".Lfunc_end")[0]
        wide = [line for line in tile.splitlines() if register in line]
        assert sum("vfmadd" in line for line in wide) >= rows * width
        assert not [line for line in wide if "(%rsp)" in line]
    called = set(re.findall(r"(?:call|callq|jmp|movabsq)\s+\$?([A-Za-z_]\w*)", code))
    assert not [name for name in called if re.fullmatch(r"(exp|exp2|expm1|tanh|fma|pow|ldexp)f?", name)]


# ---- threads, processes


def test_equal_threads_give_equal_bits(shares):
    arguments = lstm_arguments(20, 13, 30, 50)
    first, second = (NUMBA.lstm.forward(*arguments) for _ in range(2))
    gradients = [NUMBA.lstm.backward(f[0], f[1], f[2], f[3]) for f in (first, second)]
    for a, b in zip((*first[:3], *gradients[0]), (*second[:3], *gradients[1]), strict=True):
        assert a.tobytes() == b.tobytes()


def test_several_python_threads_may_compute_at_once(shares):
    arguments = lstm_arguments(20, 13, 30, 50)
    expected = NUMBA.lstm.inference(*arguments)[0]
    wrong = []

    def compute():
        for _ in range(20):
            if not np.array_equal(NUMBA.lstm.inference(*arguments)[0], expected):
                wrong.append(1)

    workers = [threading.Thread(target=compute) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_parts_that_are_not_given_threads_of_their_own_are_done_by_the_first(monkeypatch):
    """Threads that share units wait for each other at each step; a thread that runs alone must not wait forever."""
    monkeypatch.setattr(cost_model, "MIN_MULTIPLY_ADDS_FOR_THREADS", 0)
    monkeypatch.setattr(cost_model, "MIN_MULTIPLY_ADDS_FOR_BARRIER", 0)
    monkeypatch.setattr(cost_model, "MIN_ROWS_PER_THREAD", 1_000_000)
    monkeypatch.setattr(launch, "thread_count", lambda: 2)
    monkeypatch.setattr(launch, "run_on_threads", launch.run_alone)
    arguments = lstm_arguments(6, 3, 20, 70, np.float64)
    for ours, numpys in zip(NUMBA.lstm.forward(*arguments)[:3], NUMPY.lstm.forward(*arguments)[:3], strict=True):
        np.testing.assert_allclose(ours, numpys, rtol=0, atol=1e-13)


PROGRAM = """
import os, sys, numpy as np
from minirnn_kernels.cpu import sequences as k, cost_model
cost_model.MIN_MULTIPLY_ADDS_FOR_THREADS = 0
a = [np.ones(s, np.float64) for s in [(2, 4, 3), (4, 5), (4, 5), (20, 3), (20, 5), (20,)]]
before = k.KERNELS.lstm.inference(*a)[0]
"""


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM + program],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_can_compute_and_finish_what_its_parent_began():
    done = run(
        "out, *_, cache = k.KERNELS.lstm.forward(*a)\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    k.KERNELS.lstm.backward(out, None, None, cache)\n"
        "    os._exit(0 if np.array_equal(k.KERNELS.lstm.inference(*a)[0], before) else 3)\n"
        "print(os.waitpid(pid, 0)[1])",
        NUMBA_NUM_THREADS="2",
    )
    assert done.stdout.strip() == "0", done.stderr


def test_without_compilation_numpy_computes_and_the_reason_is_said():
    done = run("print(k.KERNELS.name, before.shape)", NUMBA_DISABLE_JIT="1")
    assert done.stdout.strip() == "numba (2, 4, 5)"
    assert "NUMBA_DISABLE_JIT" in done.stderr


def test_a_change_in_any_file_of_the_kernels_makes_the_cache_stale():
    folder = Path(compilation.__file__).parent
    files = [*sorted(folder.rglob("*.py")), folder.parent / "cell.py"]
    assert {"sequence_pass.py", "job.py", "tiles.py", "step.py", "compilation.py"} <= {path.name for path in files}
    assert compilation._stamp() == tuple((path.stat().st_mtime, path.stat().st_size) for path in files)
    assert sequence_pass.forward_steps._cache._cache_file._source_stamp == compilation._stamp()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "features"),
    [("AVX-512", {"avx512f": True, "fma": True}), ("AVX2", {"avx2": True, "fma": True}), ("generic", {})],
)
def test_the_contract_is_kept_with_the_vectors_and_tiles_of_other_machines(name, features, tmp_path):
    program = (
        "from minirnn_kernels.cpu.emit import vectors\n"
        f"vectors.machine = lambda: vectors.machine_of({features}, 'x86_64')\n"
        "import minirnn_kernels\nfrom minirnn_kernels.proof import prove\n"
        "prove(minirnn_kernels.get('numba'))\nprint(vectors.machine().name)"
    )
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == name, done.stderr


@pytest.mark.slow
def test_where_nothing_can_be_stored_each_process_compiles():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NO_PLACE + PROGRAM + "print(before.shape)"],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.strip() == "(2, 4, 5)", done.stderr
    assert "compiling" in done.stderr


NO_PLACE = """
from numba.core import caching
def nowhere(*args): raise RuntimeError("no locator")
caching.CacheImpl.__init__ = nowhere
"""


@pytest.mark.slow
def test_two_processes_may_compile_at_once(tmp_path):
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "NUMBA_CACHE_DIR": str(tmp_path)}
    program = PROGRAM + "print(before.shape)"
    both = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=300)[0].strip() for process in both] == ["(2, 4, 5)"] * 2
    assert "compiling" not in run("print(before.shape)", NUMBA_CACHE_DIR=str(tmp_path)).stderr
