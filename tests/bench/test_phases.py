"""The phases of a first use, each measured in its own process."""

import pytest

from minirnn.bench import phases


def test_phases_add_up_to_the_first_call(monkeypatch):
    made = iter([
        {"process": 9.0, "import": 0.5, "first": 8.0, "steady": 0.01},
        {"process": 2.0, "import": 0.4, "first": 1.0, "steady": 0.02},
    ])  # fmt: skip
    monkeypatch.setattr(phases, "_process", lambda *a: next(made))
    found = phases.measure("numba", "gru", threads=2)
    assert found["compile"] == 7.0
    assert found["cache_load"] + found["steady"] == found["first_call"] == 1.0
    assert (found["import"], found["process_cold"], found["process_warm"]) == (0.4, 9.0, 2.0)
    assert (found["record"], found["cell"], found["threads"]) == ("numba", "gru", 2)


def test_a_process_measures_one_record():
    found = phases.measure("numpy")
    assert found["process_warm"] > found["import"] > 0
    assert found["first_call"] > 0
    with pytest.raises(RuntimeError, match="the process that times nonsense ended with code 1"):
        phases.measure("nonsense")
