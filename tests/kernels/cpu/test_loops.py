"""Tests of cpu/loops.py: the contract, compiled and as plain Python; a layer's gradients; the cache on disk."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn
import minirnn_kernels
from minirnn_kernels.proof import SequenceCase, prove, prove_case, prove_gates_case
from minirnn_kernels.proof.gates import FUNCTIONS
from minirnn_kernels.proof.loop import VARIANTS


@pytest.fixture(scope="module")
def loops():
    return minirnn_kernels.get("loops")


def python(program, **environment):
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=env | environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_the_loops_kernels_are_proven(loops, seed):
    prove(loops, seed)


@pytest.mark.parametrize("function", FUNCTIONS)
@given(
    sizes=st.lists(st.integers(1, 70), min_size=2, max_size=2, unique=True),
    strided=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_gates_of_any_sizes(loops, function, sizes, strided, seed, dtype):
    prove_gates_case(loops.gates, function, B=sizes[0], H=sizes[1], strided=strided, seed=seed, dtype=dtype)


@pytest.mark.parametrize("cell", VARIANTS)
@given(
    sizes=st.lists(st.integers(2, 33), min_size=4, max_size=4, unique=True),
    ragged=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_sequences_of_any_sizes(loops, cell, sizes, ragged, seed, dtype):
    T, B, I, H = sizes
    prove_case(loops, cell, SequenceCase(T=T, B=B, I=I, H=H, ragged=ragged), seed=seed, dtype=dtype)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_layer_gets_numpys_gradients(kind):
    gradients = {}
    for name in ("numpy", "loops"):
        layer = getattr(minirnn.nn, kind)(3, 5, num_layers=2, dtype=np.float64, rng=np.random.default_rng(0))
        with minirnn.kernels(name):
            out, _ = layer(np.random.default_rng(1).standard_normal((7, 4, 3)))
        assert f"{name} kernels" in repr(out._node.parents[0][1]._node.fn.name)
        (out * out).sum().backward()
        gradients[name] = {key: p.grad for key, p in layer.named_parameters()}
    assert gradients["numpy"].keys() == gradients["loops"].keys()
    for key, expected in gradients["numpy"].items():
        assert expected.any(), key
        # ten times float64's epsilon times the terms of an entry (4 sequences, 7 steps, 20 gates)
        np.testing.assert_allclose(gradients["loops"][key], expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_without_the_compiler_it_is_plain_python_and_right():
    done = python(
        "import minirnn_kernels; from minirnn_kernels.proof import prove_gates\n"
        "gates = minirnn_kernels.get('loops').gates\n"
        "assert type(gates.lstm.forward).__name__ == 'function'\n"
        "prove_gates(gates)",
        NUMBA_DISABLE_JIT="1",
    )
    assert done.returncode == 0, done.stderr


def test_what_it_compiles_is_kept_on_disk(tmp_path):
    program = (
        "import numpy as np; from minirnn_kernels.cpu.loops import lstm\n"
        "lstm(np.zeros((4, 2, 3)), *np.zeros((3, 2, 3))); print(sum(lstm.stats.cache_hits.values()))"
    )
    hits = [python(program, NUMBA_CACHE_DIR=str(tmp_path)).stdout.strip() for _ in range(2)]
    assert hits == ["0", "1"]


def test_it_works_where_nothing_can_be_kept():
    program = (
        "import numpy as np; from minirnn_kernels.cpu.loops import lstm\n"
        "h = np.zeros((2, 3)); lstm(np.ones((4, 2, 3)), h.copy(), h.copy(), h); print(h.all(), lstm.stats.cache_path)"
    )
    # the only folder for the cache is one that even root cannot write to
    only = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "NUMBA_CACHE_DIR": f"{os.devnull}/folder"}
    done = python(program, **only)
    assert done.stdout.strip() == "True None", done.stderr


def test_without_numba_the_reason_is_given():
    program = (
        "import sys; sys.modules['numba'] = None\n"
        "import minirnn_kernels; assert minirnn_kernels.available()['numpy'] is None\n"
        "print(minirnn_kernels.available()['loops'])"
    )
    done = python(program)
    assert done.stdout.startswith("the loops kernels are compiled by Numba, which can't be imported here: "), (
        done.stderr
    )
