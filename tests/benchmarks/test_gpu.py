"""What benchmarks/gpu.py plans, counts, judges and writes, with libraries of the host and with clocks of our own."""

import importlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

FOLDER = str(Path(__file__).parents[2] / "benchmarks")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)

gpu, gpu_gates, gpu_measure, gpu_peers, gpu_plan, gpu_report = (
    importlib.import_module(name)
    for name in ("gpu", "on_gpu.gates", "on_gpu.measure", "on_gpu.peers", "on_gpu.plan", "on_gpu.report")
)
from minirnn.bench.problems import Problem  # noqa: E402
from minirnn.bench.sizes import Size  # noqa: E402

Row = gpu_plan.Row
SMALL = Size("small", 3, 5, 4, 6, "a test")
LARGE = Size("a", 32, 100, 512, 512, "a test")


# ---- the plan --------------------------------------------------------------------------------------------------------


def test_every_part_has_rows_and_the_names_tell_them_apart():
    for part in gpu_plan.PARTS:
        found = gpu_plan.rows(part)
        keys = [gpu_plan.key(part, row) for row in found]
        assert keys
        assert len(set(keys)) == len(keys)
        quick = gpu_plan.rows(part, quick=True)
        assert set(quick) <= set(found)
        assert 0 < len(quick) <= len(found)
    with pytest.raises(ValueError, match="'nothing' is not known"):
        gpu_plan.rows("nothing")


def test_the_sizes_that_people_recognise_are_there():
    every = [row for part in gpu_plan.PARTS for row in gpu_plan.rows(part)]
    of = lambda cell: {(r.size.H, r.size.B, r.size.T) for r in every if r.cell == cell}
    deepbench = {(256, B, 150) for B in (16, 32, 64)} | {(512, B, 25) for B in (16, 32, 64, 128)}
    deepbench |= {(1024, B, 25) for B in (16, 32, 64, 128)} | {(1536, B, 50) for B in (8, 16, 32)}
    assert of("lstm") >= deepbench | {(500, 64, 50)} | {(H, 16, 1024) for H in (128, 256, 512, 768)}
    assert of("rnn") >= {(1760, B, 50) for B in (16, 32, 64)}
    assert of("gru") >= {(1024, 32, 187)}


def test_every_target_has_rows_in_the_plan():
    every = [row for part in gpu_plan.PARTS for row in gpu_plan.rows(part)]
    for target in gpu_plan.TARGETS:
        assert any(map(target.holds, every)), target.name


def test_a_row_survives_json():
    row = Row("training", "gru", LARGE, "bfloat16", "recurrence", 2, 2, True)
    assert gpu_plan.of_dict(json.loads(json.dumps(gpu_plan.as_dict(row)))) == row


# ---- counting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("what", ["inference", "training"])
def test_one_layer_counts_as_the_other_benchmark_does(cell, what):
    row, problem = Row(what, cell, LARGE), Problem(what, cell, LARGE)
    assert gpu_plan.flop(row) == problem.flop
    assert gpu_plan.bytes_moved(row) == problem.bytes


def test_layers_directions_lengths_and_protocols_count():
    once = gpu_plan.flop(Row("inference", "lstm", LARGE))
    assert gpu_plan.flop(Row("inference", "lstm", LARGE, layers=2)) == 2 * once  # as many inputs as units
    assert gpu_plan.flop(Row("inference", "lstm", LARGE, directions=2)) == 2 * once
    both = gpu_plan.flop(Row("inference", "lstm", LARGE, layers=2, directions=2))
    assert both == 2 * once + 2 * once * 3 // 2  # the second layer has twice the inputs
    assert gpu_plan.flop(Row("inference", "lstm", LARGE, protocol="recurrence")) * 1024 == once * (512 + 8)
    row = Row("training", "lstm", LARGE, ragged=True)
    drawn = gpu_plan.lengths(row)
    assert drawn.max() == 100
    assert drawn.min() >= 1
    assert gpu_plan.flop(row) == 3 * 2 * 4 * 512 * 1024 * drawn.sum()
    assert gpu_plan.bytes_moved(row) < gpu_plan.bytes_moved(replace(row, ragged=False))


def test_bytes_of_half_precision_and_of_what_a_backward_needs():
    inference, forward = (gpu_plan.bytes_moved(Row(w, "lstm", LARGE)) for w in ("inference", "forward"))
    entries = 32 * 100 * 512
    assert forward - inference == 5 * entries * 4
    half = Row("inference", "lstm", LARGE, "float16")
    assert gpu_plan.bytes_moved(half) * 2 == inference
    assert gpu_plan.bytes_moved(replace(half, what="forward")) - inference // 2 == 5 * entries * 4  # gates are float32


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_gates_sizes_are_as_large_as_they_say(cell, backward):
    for megabytes in gpu_plan.MEGABYTES:
        row = Row("gates backward" if backward else "gates", cell, gpu_plan.gate_size(cell, backward, megabytes))
        assert megabytes * 10**6 <= gpu_plan.bytes_moved(row) < 1.01 * megabytes * 10**6
        assert gpu_plan.flop(row) == 0


def test_the_roof_is_the_larger_of_both_times():
    row = Row("inference", "lstm", LARGE)
    products, memory = gpu_plan.flop(row), gpu_plan.bytes_moved(row)
    found = gpu_plan.roof(row, {"strict": products / 2.0}, memory / 1.0)
    assert found == {"seconds": 2.0, "products": 2.0, "memory": 1.0, "by": "products"}
    assert gpu_plan.roof(row, {"strict": products / 2.0}, memory / 3.0)["by"] == "memory"
    assert gpu_plan.roof(row, {}, 1.0) is None
    high = gpu_plan.roof(replace(row, mode="high"), {"tf32": products}, 1e20)
    assert high["products"] == pytest.approx(3.0)
    gates = Row("gates", "lstm", gpu_plan.gate_size("lstm", False, 64))
    assert gpu_plan.roof(gates, {}, 1.0)["by"] == "memory"


# ---- the targets -----------------------------------------------------------------------------------------------------


def judged(*found):
    lines = gpu_plan.judge([{"row": gpu_plan.as_dict(row), "figure": figure, "refused": {}} for row, figure in found])
    return {line["target"]: line for line in lines}


def test_a_target_is_met_when_its_worst_row_is():
    row = Row("training", "lstm", LARGE, "tf32")
    line = judged((row, 1.6), (replace(row, protocol="recurrence"), 1.5))["one layer, tf32, training"]
    assert (line["verdict"], line["rows"], line["meet"], line["worst"]) == ("met", 2, 2, 1.5)
    line = judged((row, 1.6), (replace(row, protocol="recurrence"), 1.49))["one layer, tf32, training"]
    assert (line["verdict"], line["meet"]) == ("not met", 1)
    assert "recurrence" in line["worst_row"]


def test_without_a_row_or_a_peer_a_target_is_not_measured():
    assert {line["verdict"] for line in judged().values()} == {"not measured"}
    line = judged((Row("training", "lstm", LARGE, "tf32"), None))["one layer, tf32, training"]
    assert line["verdict"] == "not measured"


def test_a_wrong_result_does_not_meet_a_target():
    found = {"row": gpu_plan.as_dict(Row("training", "lstm", LARGE, "tf32")), "figure": None, "refused": {"ours": "h"}}
    (line,) = [x for x in gpu_plan.judge([found]) if x["target"] == "one layer, tf32, training"]
    assert line["verdict"] == "not met"
    assert line["refused"]


@pytest.mark.parametrize(
    ("row", "target"),
    [
        (Row("forward", "lstm", LARGE, "strict"), "one layer, strict, forward"),
        (Row("inference", "rnn", LARGE, "bfloat16"), "one layer, bfloat16, forward"),
        (Row("training", "gru", LARGE, "strict"), "GRU"),
        (Row("training", "lstm", LARGE, "strict", layers=2), "two layers"),
        (Row("training", "lstm", LARGE, "strict", directions=2), "two directions"),
        (Row("training", "lstm", LARGE, "strict", ragged=True), "lengths"),
        (Row("training", "lstm", LARGE, "float16"), "fp16 where cuDNN has a persistent kernel"),
        (Row("training", "lstm", replace(LARGE, B=128, H=1024), "tf32"), "B >= 128, H >= 1024"),
        (Row("training", "lstm", replace(LARGE, H=192), "tf32"), None),
        (Row("training", "lstm", replace(LARGE, T=49), "tf32"), None),
        (Row("training", "lstm", replace(LARGE, H=500), "float16"), None),
        (Row("training", "lstm", LARGE, "high"), None),
    ],
)
def test_each_row_counts_for_its_target(row, target):
    assert [t.name for t in gpu_plan.TARGETS if t.holds(row)] == ([] if target is None else [target])


# ---- measuring -------------------------------------------------------------------------------------------------------


class Fake:
    """A contender whose calls take `each` seconds of a clock of its own, and whose results may be spoilt."""

    def __init__(self, name, each, spoil=lambda results: results, missing=None):
        self.name, self.each, self.spoil, self.missing, self.calls = name, each, spoil, missing, 0

    def __call__(self, numbers):
        if self.missing is not None:
            raise gpu_peers.Missing(self.missing)
        right = gpu_peers.ours(numbers, gpu_peers.host_device("float64"))

        def clock(work):
            before = self.calls
            work()
            return (self.calls - before) * self.each

        def run(k):
            self.calls += 1
            return k

        return gpu_peers.Contender(
            self.name, run, lambda k: self.spoil(right.results(right.run(k))), clock, sets=right.sets
        )


def reference(numbers):
    return gpu_peers.ours(numbers, gpu_peers.host_device("float64")).once()


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
    assert found["figure"] == pytest.approx(2)  # the faster of PyTorch's ways; JAX isn't a target
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
def test_what_is_wrong_is_not_timed(change, words):
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


def test_who_is_missing_is_named_and_who_fails_is_refused():
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
    numbers = gpu_peers.Numbers(Row("inference", "rnn", SMALL, "float64"), 0)
    times = gpu_measure.interleaved([a(numbers), b(numbers)], 1.0, rounds=4)
    assert {name: len(each) for name, each in times.items()} == {"a": 4, "b": 4}
    for name, each in (("a", 1e-3), ("b", 1e-4)):
        assert all(t == pytest.approx(each) for taken in times[name] for t in taken)
    assert 0.8 < a.calls * 1e-3 + b.calls * 1e-4 < 1.3
    assert gpu_measure.interleaved([], 1.0) == {}


def test_inputs_are_several_where_they_would_stay_in_the_cache():
    assert gpu_measure.sets(Row("inference", "lstm", SMALL)) == gpu_measure.SETS
    assert gpu_measure.sets(Row("training", "lstm", replace(LARGE, T=1000))) == 1


def test_no_row_is_begun_when_the_time_is_up():
    now = iter(range(1000))
    planned = gpu_plan.rows("gates")
    found, left_out = gpu.run(
        ["gates"], False, 5, lambda part, row: {"row": row}, lambda words: None, lambda: next(now)
    )
    assert [f["row"] for f in found] == planned[:5]
    assert all(f["part"] == "gates" for f in found)
    assert left_out == [gpu_plan.key("gates", row) for row in planned[5:]]


def test_what_is_done_is_not_measured_again():
    planned = gpu_plan.rows("half", True)
    done = frozenset(gpu_plan.key("half", row) for row in planned[:1])
    found, left_out = gpu.run(["half"], True, 1e9, lambda p, row: {"row": row}, lambda w: None, lambda: 0, done)
    assert [f["row"] for f in found] == planned[1:]
    assert not left_out


def test_a_row_that_nothing_can_be_held_against_is_left_out():
    def nothing(part, row):
        raise gpu_peers.Missing("torch is missing")

    found, left_out = gpu.run(["half"], True, 1e9, nothing, lambda words: None, lambda: 0)
    assert not found
    assert len(left_out) == len(gpu_plan.rows("half", True))


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
    numbers = gpu_peers.Numbers(row, 3, 2)
    name = "torch packed" if row.ragged else "torch"
    exact = gpu_peers.torch(numbers, name, "float64", device="cpu").once(1)
    assert set(exact) == set(numbers.expected)
    makers = {"ours": lambda: gpu_peers.ours(numbers, gpu_peers.host_device())}
    makers |= {"module": lambda: gpu_peers.ours(numbers, gpu_peers.host_device(), module=True)}
    names = ("torch packed", "torch padded") if row.ragged else ("torch",)
    makers |= {n: lambda n=n: gpu_peers.torch(numbers, n, device="cpu") for n in names}
    for who, make in makers.items():
        try:
            contender = make()
        except gpu_peers.Missing:
            assert who == "torch padded"
            continue
        off, worst = gpu_measure.error(contender.once(1), exact)
        assert off <= gpu_plan.allowed(row), f"{who}: {worst} {off}"
        assert contender.seconds(3) > 0


@pytest.mark.parametrize("row", WAYS[:4:3], ids=lambda row: row.name)
def test_jax_agrees(row):
    pytest.importorskip("jax", reason="the comparison needs JAX (pip install '.[peers]')")
    numbers = gpu_peers.Numbers(row, 3)
    off, worst = gpu_measure.error(gpu_peers.jax(numbers, "cpu").once(), reference(numbers))
    assert off <= gpu_plan.allowed(row), worst
    with pytest.raises(gpu_peers.Missing):
        gpu_peers.jax(gpu_peers.Numbers(replace(row, ragged=True), 3), "cpu")


@pytest.mark.parametrize(("mode", "bits"), [("bfloat16", 8), ("float16", 11)])
def test_numbers_of_16_bit_modes_are_exact_in_16_bits(mode, bits):
    numbers = gpu_peers.Numbers(Row("training", "lstm", SMALL, mode), 0)
    a = numbers.sets[0]["x"].astype(np.float64)
    mantissa, _ = np.frexp(a)
    scaled = mantissa * 2**bits
    assert np.array_equal(scaled, np.round(scaled))
    exact = gpu_peers.Numbers(Row("training", "lstm", SMALL, "float64"), 0).sets[0]["x"]
    assert np.max(np.abs(a - exact) / np.abs(exact)) <= 2.0**-bits


def test_the_gates_are_proven_and_held_against_a_copy():
    row = Row("gates backward", "lstm", Size("1 MB", 1200, 1, 0, 16, "a test"))
    found = gpu_gates.measured(row, gpu_peers.host_device(), lambda n: n / 1.0, 0.01)
    assert found["errors"]["ours"] <= found["allowed"]
    assert found["figure"] == pytest.approx(1 / found["times"]["ours"]["median"])


def test_wrong_gates_are_refused(monkeypatch):
    monkeypatch.setattr(gpu_gates, "prepare", lambda record, problem, a: (lambda: None, {"h": a["h"]}))
    row = Row("gates", "gru", Size("1 MB", 700, 1, 0, 16, "a test"))
    found = gpu_gates.measured(row, gpu_peers.host_device(), lambda n: 1.0, 0.01)
    assert "h is off by" in found["refused"]["ours"]
    assert found["figure"] is None


def test_what_a_device_cannot_capture_is_called_and_noted():
    device = gpu_peers.host_device()

    def refuses(work, n):
        raise RuntimeError("not while capturing")

    device.repeated = refuses
    row = Row("gates", "rnn", Size("1 MB", 700, 1, 0, 16, "a test"))
    found = gpu_gates.measured(row, device, lambda n: 1.0, 0.01)
    assert found["notes"] == {"ours": {"no graph": "RuntimeError: not while capturing"}}
    assert found["times"]["ours"]["median"] > 0


def test_the_level_and_the_precision_hold_inside_alone(monkeypatch):
    from minirnn_kernels import precision

    monkeypatch.setenv("MINIRNN_CUDA_LEVEL", "2")
    with gpu_peers._ours_mode("tf32", 3):
        assert gpu_peers.os.environ["MINIRNN_CUDA_LEVEL"] == "3"
        assert precision.current() == "fast"
    assert gpu_peers.os.environ["MINIRNN_CUDA_LEVEL"] == "2"
    assert precision.current() == "strict"


def test_the_notes_say_which_plan_runs_and_what_was_estimated():
    from minirnn_kernels.cuda.device import Properties

    row = Row("training", "lstm", LARGE, "tf32")
    chosen = gpu_peers.plans(row, Properties())
    assert set(chosen) == {"forward", "backward"}
    assert {"1", "2", "grid"} <= set(chosen["forward"]["estimates"])
    assert gpu_peers.plans(row, Properties(), 2)["backward"]["plan"].startswith("level 2, graphs of steps")
    assert set(gpu_peers.plans(replace(row, what="inference"), Properties())) == {"forward"}


# ---- tests/gpu -------------------------------------------------------------------------------------------------------


def test_without_a_gpu_its_tests_are_skipped_with_the_reason():
    root = Path(FOLDER).parent
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


def test_results_of_one_machine_come_together_and_of_two_do_not():
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
        raise gpu_peers.Missing("no CUDA driver")

    monkeypatch.setattr(gpu_peers, "cupy_device", missing)
    assert gpu.main([]) == 2
    assert "no CUDA driver" in capsys.readouterr().out


def test_the_list_needs_no_gpu(capsys):
    assert gpu.main(["--list", "--part", "half"]) == 0
    assert "lstm, grid-512x32, training, float16" in capsys.readouterr().out
