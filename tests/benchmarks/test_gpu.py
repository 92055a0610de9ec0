"""benchmarks/gpu.py measures rows, judges targets and writes files; here it runs CPU libraries with fake clocks."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gpu
import numpy as np
import pytest
from on_gpu import contender as gpu_contender
from on_gpu import measure as gpu_measure
from on_gpu import ours as gpu_ours
from on_gpu import plan as gpu_plan
from on_gpu import report as gpu_report

from minirnn.bench.peers import Missing
from minirnn.bench.sizes import Size

Row = gpu_plan.GpuRow
SMALL = Size("small", 3, 5, 4, 6, "a test")
LARGE = Size("a", 32, 100, 512, 512, "a test")


# ---- measuring -------------------------------------------------------------------------------------------------------


class Fake:
    """A contender whose calls take `each` seconds of a fake clock, and whose results can be corrupted."""

    def __init__(self, name, each, spoil=lambda results: results, missing=None):
        self.name, self.each, self.spoil, self.missing, self.calls = name, each, spoil, missing, 0

    def __call__(self, numbers):
        if self.missing is not None:
            raise Missing(self.missing)
        right = gpu_ours.ours(numbers, gpu_ours.host_device("float64"))

        def clock(work):
            before = self.calls
            work()
            return (self.calls - before) * self.each

        def run(k):
            self.calls += 1
            return k

        return gpu_contender.GpuContender(
            self.name, run, lambda k: self.spoil(right.results(right.run(k))), clock, sets=right.sets
        )


def reference(numbers):
    return gpu_ours.ours(numbers, gpu_ours.host_device("float64")).once()


def measured(row, **makers):
    return gpu_measure.measured(row, reference, {name.replace("_", " "): m for name, m in makers.items()}, 0.01)


def test_times_ratios_and_the_figure_are_those_of_the_clock():
    row = Row("training", "lstm", SMALL, "float64")
    found = measured(
        row, ours=Fake("ours", 1e-3), torch_packed=Fake("torch packed", 3e-3), torch_padded=Fake("torch padded", 2e-3),
        jax=Fake("jax", 1e-4),
    )  # fmt: skip
    assert found["times"]["ours"]["median"] == pytest.approx(1e-3)
    assert found["ratios"]["torch packed"]["median"] == pytest.approx(3)
    assert found["figure"] == pytest.approx(2)  # the faster of PyTorch's two ways; JAX is not a target
    assert not found["refused"]
    rated = gpu_measure.rated(found, row, {"float64": 1e12}, 1e12)
    times = rated["times"]["ours"]
    assert times["flops"] == pytest.approx(gpu_plan.flop(row) / 1e-3)
    assert times["of_roof"] == pytest.approx(rated["roof"]["seconds"] / 1e-3)
    json.dumps(rated)


def spoilt(name, change):
    def spoil(results):
        return results | {name: change(results[name])}

    return spoil


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a * 1.01, "dx is off by 0.01"),
        (lambda a: np.where(np.arange(a.size).reshape(a.shape) == 3, np.nan, a), "dx is off by inf"),
        (lambda a: a[:-1], r"dx of shape \(4, 3, 4\), expected"),
    ],
)
def test_wrong_results_are_not_timed(change, words):
    row = Row("training", "lstm", SMALL, "float64")
    found = measured(row, ours=Fake("ours", 1e-3, spoilt("dx", change)), torch=Fake("torch", 2e-3))
    assert list(found["times"]) == ["torch"]
    assert found["figure"] is None
    assert re.search(words, found["refused"]["ours"])
    json.dumps(found)


def test_one_step_left_out_of_a_gradient_is_found_in_16_bits_too():
    row = Row("training", "lstm", replace(SMALL, T=64, B=8), "bfloat16")

    def forgets(results):
        return results | {"dx": np.concatenate([results["dx"][:1] * 0, results["dx"][1:]])}

    found = measured(row, ours=Fake("ours", 1e-3, forgets))
    assert "dx" in found["refused"]["ours"]


def test_a_missing_contender_is_named_and_a_failing_one_is_refused():
    def fails(numbers):
        raise RuntimeError("no kernel image")

    row = Row("inference", "gru", SMALL, "float64")
    found = measured(
        row, ours=fails, torch=Fake("torch", 1.0, missing="torch: not there"), jax=Fake("jax", 1.0, missing="")
    )
    assert found["refused"] == {"ours": "RuntimeError: no kernel image"}
    assert found["missing"] == {"torch": "torch: not there"}
    assert found["times"] == {}


def test_contenders_take_turns_and_blocks_fill_their_share():
    a, b = Fake("a", 1e-3), Fake("b", 1e-4)
    numbers = gpu_contender.Numbers(Row("inference", "rnn", SMALL, "float64"), 0)
    times = gpu_measure.interleaved([a(numbers), b(numbers)], 1.0, rounds=4)
    assert {name: len(each) for name, each in times.items()} == {"a": 4, "b": 4}
    for name, each in (("a", 1e-3), ("b", 1e-4)):
        assert all(t == pytest.approx(each) for taken in times[name] for t in taken)
    assert 0.8 < a.calls * 1e-3 + b.calls * 1e-4 < 1.3
    assert gpu_measure.interleaved([], 1.0) == {}


def test_there_are_several_inputs_if_one_would_stay_in_the_cache():
    assert gpu_measure.sets(Row("inference", "lstm", SMALL)) == gpu_measure.SETS
    assert gpu_measure.sets(Row("training", "lstm", replace(LARGE, T=1000))) == 1


def test_no_row_is_started_when_the_time_is_up():
    now = iter(range(1000))
    planned = gpu_plan.rows("gates")
    found, left_out = gpu.run(
        ["gates"], False, 5, lambda part, row: {"row": row}, lambda words: None, lambda: next(now)
    )
    assert [f["row"] for f in found] == planned[:5]
    assert all(f["part"] == "gates" for f in found)
    assert left_out == [gpu_plan.key("gates", row) for row in planned[5:]]


def test_measured_rows_are_not_measured_again():
    planned = gpu_plan.rows("half", True)
    done = frozenset(gpu_plan.key("half", row) for row in planned[:1])
    found, left_out = gpu.run(["half"], True, 1e9, lambda p, row: {"row": row}, lambda w: None, lambda: 0, done)
    assert [f["row"] for f in found] == planned[1:]
    assert not left_out


def test_a_row_without_a_reference_is_left_out():
    def nothing(part, row):
        raise Missing("torch is missing")

    found, left_out = gpu.run(["half"], True, 1e9, nothing, lambda words: None, lambda: 0)
    assert not found
    assert len(left_out) == len(gpu_plan.rows("half", True))


# ---- tests/gpu -------------------------------------------------------------------------------------------------------


def test_without_a_gpu_its_tests_are_skipped_with_the_reason():
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-rs", "-p", "no:cacheprovider", "tests/gpu"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join((".", "kernels"))}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"=*\s*\d+ skipped in .*", last), last
    files = set(re.findall(r"SKIPPED \[\d+\] tests/gpu/(\w+)\.py\S*: (?:CuPy|there is|the NVIDIA)", done.stdout))
    assert files == {path.stem for path in (root / "tests" / "gpu").glob("test_*.py")}


# ---- the document ----------------------------------------------------------------------------------------------------


def document(*found, part="lstm", gpu_name="A GPU"):
    made = {
        "schema": gpu_report.SCHEMA, "seed": 0, "command": "python benchmarks/gpu.py", "parts": [part],
        "machine": {"gpu": gpu_name, "driver": "1.2", "date": "2026-01-02", "versions": {"numpy": "2.4"}},
        "peaks": {"tf32": 4e14}, "bandwidth": {"2147483648": 4e12}, "left_out": [],
        "rows": [f | {"part": part} for f in found],
    }  # fmt: skip
    return gpu_report.merged(None, made)


def a_row(row, ours, theirs):
    fakes = {"ours": [[ours]], "torch": [[theirs]]}
    found = {
        "row": gpu_plan.as_dict(row), "flop": gpu_plan.flop(row), "bytes": gpu_plan.bytes_moved(row), "refused": {},
        "missing": {"jax": "jax: not there"}, "errors": {"ours": 1e-4},
        "notes": {"ours": {"forward": {"plan": "level 3, single block", "estimates": {}}}},
    }  # fmt: skip
    return gpu_measure.rated(found | gpu_measure.compared(fakes), row, {"tf32": 4e14}, 4e12)


TF32 = Row("training", "lstm", LARGE, "tf32")


def test_results_of_one_machine_are_merged_and_of_two_are_not():
    old = document(a_row(TF32, 1.0, 1.2), a_row(replace(TF32, what="forward"), 1.0, 3.0))
    old["left_out"] = [gpu_plan.key("lstm", replace(TF32, protocol="recurrence")), "another"]
    new = document(a_row(TF32, 1.0, 1.8), a_row(replace(TF32, protocol="recurrence"), 1.0, 1.6))
    made = gpu_report.merged(old, new)
    assert len(made["rows"]) == 3
    lines = {line["target"]: line for line in made["targets"]}
    assert lines["one layer, tf32, training"]["worst"] == pytest.approx(1.6)
    assert lines["one layer, tf32, forward"]["verdict"] == "met"
    assert made["left_out"] == ["another"]
    with pytest.raises(ValueError, match="two machines: gpu 'A GPU', now 'Another'"):
        gpu_report.merged(old, document(gpu_name="Another"))


def test_the_tables_show_verdicts_ratios_and_what_is_wrong(tmp_path, capsys):
    wrong = a_row(replace(TF32, what="forward"), 1.0, 3.0)
    del wrong["times"]["ours"]
    wrong |= {"ratios": {}, "figure": None, "refused": {"ours": "out is off by 0.1 of its norm, allowed 0.004"}}
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps(document(a_row(TF32, 1e-3, 1.8e-3), wrong)))
    assert gpu.main(["--show", str(path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "A GPU",
        "1 ms",
        "×1.80",
        "3, single block",
        "not measured: jax: not there",
        "WRONG, not timed: ours",
        "left out",
    ):
        assert (words in text) == (words != "left out"), words
    assert "one layer, tf32, training 1.5 met 1 of 1 1.80" in text
    assert "one layer, tf32, forward 2 not met" in text
    assert "one layer, strict, forward 2 not measured" in text


def test_without_a_gpu_the_command_says_why(monkeypatch, capsys):
    def missing():
        raise Missing("no CUDA driver")

    monkeypatch.setattr(gpu_ours, "cupy_device", missing)
    assert gpu.main([]) == 2
    assert "no CUDA driver" in capsys.readouterr().out


def test_the_list_needs_no_gpu(capsys):
    assert gpu.main(["--list", "--part", "half"]) == 0
    assert "lstm, grid-512x32, training, float16" in capsys.readouterr().out
