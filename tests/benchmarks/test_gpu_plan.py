"""on_gpu/plan.py: the rows that benchmarks/gpu.py measures, what each costs at least, and the targets."""

import json
from dataclasses import replace

import pytest
from on_gpu import plan as gpu_plan

from minirnn.bench.problems import Problem
from minirnn.bench.sizes import Size

Row = gpu_plan.GpuRow
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
    assert gpu_plan.flop(Row("inference", "lstm", LARGE, layers=2)) == 2 * once  # the size has as many inputs as units
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


def test_bytes_of_half_precision_and_of_the_arrays_for_a_backward():
    inference, forward = (gpu_plan.bytes_moved(Row(w, "lstm", LARGE)) for w in ("inference", "forward"))
    entries = 32 * 100 * 512
    assert forward - inference == 5 * entries * 4
    half = Row("inference", "lstm", LARGE, "float16")
    assert gpu_plan.bytes_moved(half) * 2 == inference
    assert gpu_plan.bytes_moved(replace(half, what="forward")) - inference // 2 == 5 * entries * 4  # gates are float32


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_sizes_of_gates_have_their_nominal_bytes(cell, backward):
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
