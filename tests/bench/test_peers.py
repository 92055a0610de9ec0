"""Every peer agrees with the NumPy kernels; a missing library is reported."""

import shutil
import sys

import pytest

import minirnn_kernels
from minirnn.bench.peers import COMPILED, PEERS, Missing, library, of_peer, of_record
from minirnn.bench.problems import Problem, disagreement, tolerance
from minirnn.bench.sizes import named
from minirnn_kernels.cell import CELLS

SIZE = named("5x9x7x6")
LIBRARIES = {"torch packed": "torch", "torch padded": "torch"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("what", ["training", "forward", "inference", "lengths"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.filterwarnings("ignore")
def test_a_peer_agrees_in_all_results_and_gradients(peer, cell, what, dtype):
    pytest.importorskip(LIBRARIES.get(peer, peer))
    problem = Problem(what, cell, SIZE, dtype)
    try:
        contender = of_peer(peer, problem)
    except Missing:
        assert (peer, what, dtype) not in MUST
        return
    expected = of_record(minirnn_kernels.get("numpy"), problem)
    expected, got = expected.results(expected.run()), contender.results(contender.run())
    padded = {"c_n"} if peer == "torch padded" else set()
    assert expected.keys() - padded <= got.keys()
    assert disagreement(got, expected, tolerance(problem))[1] is None


@pytest.mark.slow
@pytest.mark.parametrize("what", ["training", "forward", "inference"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.filterwarnings("ignore")
def test_the_compiled_step_agrees_too(cell, what):
    pytest.importorskip("torch")
    if shutil.which("c++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    problem = Problem(what, cell, SIZE)
    contender, exact = of_peer(COMPILED, problem), of_record(minirnn_kernels.get("numpy"), problem)
    expected, got = exact.results(exact.run()), contender.results(contender.run())
    assert got.keys() == expected.keys()
    assert disagreement(got, expected, tolerance(problem))[1] is None


MUST = {
    *(("torch", what, dtype) for what in ("training", "forward", "inference") for dtype in ("float32", "float64")),
    *((f"torch {way}", "lengths", dtype) for way in ("packed", "padded") for dtype in ("float32", "float64")),
    *(("jax", what, dtype) for what in ("training", "inference") for dtype in ("float32", "float64")),
    ("onnxruntime", "inference", "float32"),
}


def test_a_library_that_is_not_there_is_missing_with_its_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Missing, match=r"^torch: "):
        library("torch")
    with pytest.raises(Missing, match=r"^torch: "):
        of_peer("torch", Problem("training", "lstm", SIZE))


def test_a_record_that_does_not_take_the_dtype_is_missing():
    from dataclasses import replace

    record = replace(minirnn_kernels.get("numpy"), name="narrow", accepts=lambda *a: False)
    with pytest.raises(Missing, match="narrow does not accept float64"):
        of_record(record, Problem("training", "lstm", SIZE, "float64"))
