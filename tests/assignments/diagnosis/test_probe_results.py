"""Results of probes: when arrays count as equal, and the scale that errors are relative to."""

import numpy as np
import pytest

from minirnn.assignments import TASKS
from minirnn.assignments.diagnosis.probe_results import FLOAT64_PRECISION, Trial, close, scales
from minirnn.assignments.diagnosis.probes import Probe
from tests.assignments.diagnosis.test_places import Right


def test_closeness_is_relative_to_the_scale_and_strict_about_shapes():
    a = np.array([1.0, 2.0])
    assert close(a, a + 1e-10, 1.0, 1e-9)
    assert not close(a, a + 1e-8, 1.0, 1e-9)
    assert close(a, a + 1e-8, 100.0, 1e-9)
    for other in (None, a[:1], a.reshape(1, 2), np.array(["a", "b"]), np.array([1.0, np.nan])):
        assert not close(other, a, 1.0, 1e9)


def test_a_small_tensor_is_measured_by_a_share_of_the_largest():
    assert scales([np.array([100.0]), np.array([0.001]), np.zeros(0)]) == [100.0, 1.0, 1.0]


@pytest.mark.parametrize("size", [1e-8, 1e-9])
def test_wrong_is_more_than_the_tolerance(size):
    def spoil(g):
        g["dWh"][0, 0] += size * np.abs(g["dWh"]).max()

    result = Trial(Right(spoil), TASKS["gru"]).run(Probe("base"))
    assert [name for k, name in enumerate(result.names) if result.wrong(k)] == ["dWh"]
    assert not result.all_right
    assert FLOAT64_PRECISION.verdict < 1e-9
    assert result.sizes == {"N": 2, "T": 4, "D": 3, "H": 5, "K": 15}
