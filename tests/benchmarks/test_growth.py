"""Exponents are slopes of logarithms, and each axis doubles only one size."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "growth.py"
spec = importlib.util.spec_from_file_location("growth", FILE)
growth = importlib.util.module_from_spec(spec)
spec.loader.exec_module(growth)


def test_the_exponent_of_a_power_is_that_power():
    assert growth.exponent([2, 4, 8], [3 * n**1.5 for n in (2, 4, 8)]) == pytest.approx(1.5)


@pytest.mark.parametrize("axis", ["T", "B", "H"])
def test_one_size_doubles_and_the_others_stay(axis):
    sizes = growth.AXES[axis]
    grown = [getattr(size, axis) for size in sizes]
    assert grown == [grown[0] * 2**k for k in range(len(grown))]
    assert len({tuple(getattr(s, name) for name in "TB" if name != axis) for s in sizes}) == 1
    assert all(size.I == size.H for size in sizes)


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="Linux counts it there")
def test_memory_is_at_least_what_a_step_has_to_keep(monkeypatch):
    """A training step needs at least the gates, 4 H numbers for each step and sequence."""
    done = subprocess.run(
        [sys.executable, str(FILE), "--child", "numpy", "rnn"],
        env=growth.machine.environment(1), capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    unit = growth.MEMORY.B * growth.MEMORY.T * growth.MEMORY.H * 4
    assert 1 < found["numpy_bytes"] / unit < 10
    assert 1 < found["bytes"] / unit < 10
