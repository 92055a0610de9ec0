"""reference/gates.py: proven for random sizes, and in place without copies of whole blocks."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn_kernels.proof import prove_gates, prove_gates_case
from minirnn_kernels.proof.gates import FUNCTIONS
from minirnn_kernels.reference.gates import GATES
from tests.doubles.records import function_of


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_numpy_gates_are_proven(seed):
    prove_gates(GATES, seed)


@pytest.mark.parametrize("function", FUNCTIONS)
@given(
    sizes=st.lists(st.integers(1, 70), min_size=2, max_size=2, unique=True),
    strided=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_any_sizes(function, sizes, strided, seed, dtype):
    prove_gates_case(GATES, function, B=sizes[0], H=sizes[1], strided=strided, seed=seed, dtype=dtype)


@pytest.mark.parametrize(
    ("path", "states"), [("lstm.forward", 3), ("lstm.backward", 4), ("gru.forward", 2), ("gru.backward", 2)]
)
def test_no_temporary_arrays(path, states):
    B, H = 100, 300
    blocks = [np.ones((4, B, H))] if not path.endswith("backward") else [np.ones((4, B, H)), np.ones((4, B, H))]
    arguments = [blocks[0], *(np.ones((B, H)) for _ in range(states)), *blocks[1:]]
    tracemalloc.start()
    function_of(GATES, path)(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * B * H / 2
