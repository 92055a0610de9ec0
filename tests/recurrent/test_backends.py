"""minirnn.kernels: the choice of kernels by a call, a with block or the environment."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import minirnn
import minirnn_kernels
from minirnn.recurrent import backends
from minirnn_kernels.contract import Kernels


@pytest.fixture
def other(monkeypatch):
    """Provide a second record under the name "other"."""
    numpy = minirnn_kernels.get("numpy")
    record = Kernels(**{**vars(numpy), "name": "other"})
    monkeypatch.setattr(minirnn_kernels, "get", lambda name: {"numpy": numpy, "other": record}[name])
    monkeypatch.setattr(backends, "_process", None)
    monkeypatch.setattr(backends, "_default", lambda: "numpy")
    return record


X = np.zeros(2)


def test_a_call_chooses_for_the_process_and_a_block_for_itself(other):
    assert backends.chosen(X).name == "numpy"
    with minirnn.kernels("other"):
        assert backends.chosen(X).name == "other"
        seen = []
        thread = threading.Thread(target=lambda: seen.append(backends.chosen(X).name))
        thread.start()
        thread.join()
        assert seen == ["numpy"]
        with minirnn.kernels("numpy"):
            assert backends.chosen(X).name == "numpy"
        assert backends.chosen(X).name == "other"
    assert backends.chosen(X).name == "numpy"
    minirnn.kernels("other")
    assert backends.chosen(X).name == "other"


def test_the_backward_pass_uses_the_kernels_of_the_forward_pass(other):
    lstm = minirnn.nn.LSTM(2, 3)
    with minirnn.kernels("other"):
        out, _ = lstm(np.zeros((2, 1, 2), np.float32))
    assert "other kernels" in repr(out._node.parents[0][1]._node.fn.name)
    out.sum().backward()


def test_the_default_is_numpy_for_a_cell_that_numba_lacks(monkeypatch):
    monkeypatch.setattr(backends, "_process", None)
    monkeypatch.setattr(backends, "_default", lambda: "numba")
    monkeypatch.delenv("MINIRNN_KERNELS", raising=False)
    numpy = minirnn_kernels.get("numpy")
    numba = Kernels("numba", numpy.accepts, numpy.gates, rnn=numpy.rnn, gru=numpy.gru)
    monkeypatch.setattr(minirnn_kernels, "get", lambda name: {"numpy": numpy, "numba": numba}[name])
    assert [backends.chosen(X, cell=cell).name for cell in ("rnn", "lstm")] == ["numba", "numpy"]
    with (
        minirnn.kernels("numba"),
        pytest.raises(ValueError, match="the numba kernels have no lstm cell; available: rnn, gru"),
    ):
        minirnn.nn.LSTM(2, 3)(np.zeros((2, 1, 2), np.float32))


def test_the_default_is_numba_where_it_is_available(monkeypatch):
    monkeypatch.setattr(backends, "_process", None)
    monkeypatch.delenv("MINIRNN_KERNELS", raising=False)
    backends._default.cache_clear()
    assert backends.chosen(X).name == "numba"
    monkeypatch.setattr(minirnn_kernels, "available", lambda: {"numpy": None, "numba": "no compiler"})
    backends._default.cache_clear()
    assert backends.chosen(X).name == "numpy"
    backends._default.cache_clear()


def test_an_unknown_name_is_an_error_that_lists_the_known_names():
    with pytest.raises(ValueError, match="'fortran' are not known, expected one of 'numpy'"):
        minirnn.kernels("fortran")


def test_mixed_dtypes_are_refused():
    with pytest.raises(TypeError, match="numpy float32 and numpy float64"):
        backends.chosen(X, X.astype(np.float32))


def test_the_environment_sets_the_default():
    program = "import minirnn, numpy; minirnn.nn.RNN(1, 1)(numpy.zeros((1, 1, 1), numpy.float32))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"MINIRNN_KERNELS": "fortran", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert "ValueError: kernels 'fortran' are not known" in done.stderr
