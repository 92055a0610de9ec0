"""Single steps: T of them equal a sequence, for every cell."""

import pytest

import minirnn_kernels
from minirnn.bench import steps
from minirnn.bench.peers import Missing, of_record
from minirnn.bench.problems import Problem, disagreement, tolerance
from minirnn.bench.sizes import named
from minirnn_kernels.cell import CELLS
from tests.doubles.records import with_function

SIZE = named("1x9x7x6")


def agrees(contender, cell, dtype):
    problem = Problem("inference", cell, SIZE, dtype)
    expected = of_record(minirnn_kernels.get("numpy"), problem)
    expected, got = expected.results(expected.run()), contender.results(contender.run())
    assert got.keys() == expected.keys() - {"out"}
    assert contender.calls == SIZE.T
    return disagreement(got, expected, tolerance(problem))[1] is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_cells_step_through_a_sequence(cell, dtype):
    problem = Problem("step", cell, SIZE, dtype)
    assert agrees(steps.of_cell("numpy", problem), cell, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_torchs_cells_do(cell, dtype):
    pytest.importorskip("torch")
    problem = Problem("step", cell, SIZE, dtype)
    assert agrees(steps.of_torch(problem), cell, dtype)


def test_a_records_own_step_is_called_with_its_weights():
    from minirnn.recurrent.cells import lstm_step

    own = with_function(minirnn_kernels.get("numpy"), "lstm.step", lambda *a: lstm_step(*a)[:2])
    problem = Problem("step", "lstm", SIZE)
    assert agrees(steps.of_record(own, problem), "lstm", "float32")
    with pytest.raises(Missing, match="numpy does not accept float16"):
        steps.of_record(own, Problem("step", "lstm", SIZE, "float16"))
