"""on_gpu/contender.py, peers.py, ours.py and gates.py: every contender computes the correct results, on the host."""

import os
from dataclasses import replace

import numpy as np
import pytest
from on_gpu import contender as gpu_contender
from on_gpu import gates as gpu_gates
from on_gpu import measure as gpu_measure
from on_gpu import ours as gpu_ours
from on_gpu import peers as gpu_peers
from on_gpu import plan as gpu_plan

from minirnn.bench.peers import Missing
from minirnn.bench.sizes import Size

Row = gpu_plan.GpuRow
SMALL = Size("small", 3, 5, 4, 6, "a test")
LARGE = Size("a", 32, 100, 512, 512, "a test")


def reference(numbers):
    return gpu_ours.ours(numbers, gpu_ours.host_device("float64")).once()


# ---- the contenders, on the host -------------------------------------------------------------------------------------

WAYS = [
    Row("training", "lstm", SMALL), Row("forward", "gru", SMALL), Row("inference", "rnn", SMALL),
    Row("training", "gru", SMALL, protocol="recurrence"), Row("training", "lstm", SMALL, layers=2, directions=2),
    Row("training", "lstm", SMALL, ragged=True), Row("training", "gru", SMALL, layers=2, ragged=True),
    Row("training", "rnn", SMALL), Row("inference", "lstm", SMALL, ragged=True),
]  # fmt: skip


@pytest.mark.parametrize("row", WAYS, ids=lambda row: row.name)
@pytest.mark.parametrize("mode", ["float64", "strict"])
def test_every_contender_agrees_with_the_reference(row, mode):
    pytest.importorskip("torch", reason="the comparison needs PyTorch (pip install '.[peers]')")
    row = replace(row, mode=mode)
    numbers = gpu_contender.Numbers(row, 3, 2)
    name = "torch packed" if row.ragged else "torch"
    exact = gpu_peers.torch(numbers, name, "float64", device="cpu").once(1)
    assert set(exact) == set(numbers.expected)
    makers = {"ours": lambda: gpu_ours.ours(numbers, gpu_ours.host_device())}
    makers |= {"module": lambda: gpu_ours.ours(numbers, gpu_ours.host_device(), module=True)}
    names = ("torch packed", "torch padded") if row.ragged else ("torch",)
    makers |= {n: lambda n=n: gpu_peers.torch(numbers, n, device="cpu") for n in names}
    for who, make in makers.items():
        try:
            contender = make()
        except Missing:
            assert who == "torch padded"
            continue
        off, worst = gpu_measure.error(contender.once(1), exact)
        assert off <= gpu_plan.allowed(row), f"{who}: {worst} {off}"
        assert contender.seconds(3) > 0


@pytest.mark.parametrize("row", WAYS[:4:3], ids=lambda row: row.name)
def test_jax_agrees(row):
    pytest.importorskip("jax", reason="the comparison needs JAX (pip install '.[peers]')")
    numbers = gpu_contender.Numbers(row, 3)
    off, worst = gpu_measure.error(gpu_peers.jax(numbers, "cpu").once(), reference(numbers))
    assert off <= gpu_plan.allowed(row), worst
    with pytest.raises(Missing):
        gpu_peers.jax(gpu_contender.Numbers(replace(row, ragged=True), 3), "cpu")


@pytest.mark.parametrize(("mode", "bits"), [("bfloat16", 8), ("float16", 11)])
def test_numbers_of_16_bit_modes_are_exact_in_16_bits(mode, bits):
    numbers = gpu_contender.Numbers(Row("training", "lstm", SMALL, mode), 0)
    a = numbers.sets[0]["x"].astype(np.float64)
    mantissa, _ = np.frexp(a)
    scaled = mantissa * 2**bits
    assert np.array_equal(scaled, np.round(scaled))
    exact = gpu_contender.Numbers(Row("training", "lstm", SMALL, "float64"), 0).sets[0]["x"]
    assert np.max(np.abs(a - exact) / np.abs(exact)) <= 2.0**-bits


def test_the_gates_are_checked_and_compared_with_a_copy():
    row = Row("gates backward", "lstm", Size("1 MB", 1200, 1, 0, 16, "a test"))
    found = gpu_gates.measured(row, gpu_ours.host_device(), lambda n: n / 1.0, 0.01)
    assert found["errors"]["ours"] <= found["allowed"]
    assert found["figure"] == pytest.approx(1 / found["times"]["ours"]["median"])


def test_wrong_gates_are_refused(monkeypatch):
    monkeypatch.setattr(gpu_gates, "prepare", lambda record, problem, a: (lambda: None, {"h": a["h"]}))
    row = Row("gates", "gru", Size("1 MB", 700, 1, 0, 16, "a test"))
    found = gpu_gates.measured(row, gpu_ours.host_device(), lambda n: 1.0, 0.01)
    assert "h is off by" in found["refused"]["ours"]
    assert found["figure"] is None


def test_work_that_a_device_cannot_capture_is_called_and_noted():
    device = gpu_ours.host_device()

    def refuses(work, n):
        raise RuntimeError("not while capturing")

    device.repeated = refuses
    row = Row("gates", "rnn", Size("1 MB", 700, 1, 0, 16, "a test"))
    found = gpu_gates.measured(row, device, lambda n: 1.0, 0.01)
    assert found["notes"] == {"ours": {"no graph": "RuntimeError: not while capturing"}}
    assert found["times"]["ours"]["median"] > 0


def test_the_level_and_the_precision_are_restored(monkeypatch):
    from minirnn_kernels import precision

    monkeypatch.setenv("MINIRNN_CUDA_LEVEL", "2")
    with gpu_ours._ours_mode("tf32", 3):
        assert os.environ["MINIRNN_CUDA_LEVEL"] == "3"
        assert precision.current() == "fast"
    assert os.environ["MINIRNN_CUDA_LEVEL"] == "2"
    assert precision.current() == "strict"


def test_the_notes_say_which_plan_runs_and_what_was_estimated():
    from minirnn_kernels.cuda.device import Properties

    row = Row("training", "lstm", LARGE, "tf32")
    chosen = gpu_ours.plans(row, Properties())
    assert set(chosen) == {"forward", "backward"}
    assert {"1", "2", "grid"} <= set(chosen["forward"]["estimates"])
    assert gpu_ours.plans(row, Properties(), 2)["backward"]["plan"].startswith("level 2, graphs of steps")
    assert set(gpu_ours.plans(replace(row, what="inference"), Properties())) == {"forward"}
