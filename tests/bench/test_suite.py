"""A small complete run in worker processes: the schema of the document, messages about refused kernels, and errors."""

import json
import math

import pytest

from minirnn.bench import suite
from minirnn.bench.errors import BenchError
from minirnn.bench.sizes import Size, named
from minirnn.bench.suite import BenchPlan

TINY = named("3x4x5x6")
KERNEL = """
from dataclasses import replace
import minirnn_kernels

right = minirnn_kernels.get("numpy")


def lstm_backward(*arguments, **options):
    dx, dh0, dc0, dW_ih, dW_hh, db = right.lstm.backward(*arguments, **options)
    {mistake}
    return dx, dh0, dc0, dW_ih, dW_hh, db


KERNELS = replace(right, name="mine", lstm=replace(right.lstm, backward=lstm_backward))
"""


def plan(whats=("training",), cells=("lstm",), **more):
    return BenchPlan(whats, cells, (TINY,), peers=(), seconds=0.01, rounds=2, **more)


def run(asked):
    events = []
    document = suite.run(asked, lambda event: events.append(event["event"]))
    return json.loads(json.dumps(document)), events


@pytest.fixture(scope="module")
def document():
    return run(plan(("training", "inference", "step", "lengths"), ("lstm", "gru")))[0]


def test_the_document_keeps_its_schema(document):
    assert document.keys() == {"schema", "seed", "machine", "runs", "rows", "summaries"}
    assert document["schema"] == "minirnn-bench 1"
    assert document["machine"].keys() == {
        *("date", "cpu", "architecture", "cores", "simd", "system", "python", "versions", "blas", "load"),
    }
    for found in document["runs"]:
        assert found.keys() == {"threads", "others", "flops", "traffic", "reason", "proofs"}
        assert (found["reason"] is None) == bool(found["flops"])
    assert len(document["rows"]) == 8
    for row in document["rows"]:
        assert row.keys() == {
            *("what", "cell", "dtype", "threads", "size", "ours", "flop", "bytes", "tolerance"),
            *("times", "ratios", "errors", "refused", "missing", "others", "bound", "peak"),
        }
        assert row["size"].keys() == {"name", "B", "T", "I", "H", "origin"}
        for times in row["times"].values():
            assert times.keys() == {"samples", "median", "q1", "q3", "gflops", "of_peak"}
            assert 0 < times["q1"] <= times["median"] <= times["q3"]
        for ratio in row["ratios"].values():
            assert ratio.keys() == {"median", "q1", "q3"}
    for found in document["summaries"]:
        assert found.keys() == {
            *("what", "cell", "dtype", "threads", "ours", "peer", "geometric_mean", "least", "sizes"),
        }


def test_everything_asked_for_is_measured_and_right(document):
    kinds = {(row["what"], row["cell"]) for row in document["rows"]}
    assert kinds == {(w, c) for w in ("training", "inference", "step", "lengths") for c in ("lstm", "gru")}
    assert all(row["ours"] in row["times"] for row in document["rows"])
    assert suite.refusals(document) == []


def test_rates_follow_from_times(document):
    (row,) = (r for r in document["rows"] if (r["what"], r["cell"]) == ("training", "lstm"))
    times = row["times"][row["ours"]]
    assert times["gflops"] == pytest.approx(24 * 3 * 4 * 6 * 11 / times["median"] / 1e9)
    (row,) = (r for r in document["rows"] if (r["what"], r["cell"]) == ("step", "lstm"))
    times = row["times"][row["ours"]]
    assert times["gflops"] == pytest.approx(8 * 6 * 12 / times["median"] / 1e9)
    if document["runs"][0]["flops"]:
        assert times["of_peak"] == pytest.approx(1e9 * times["gflops"] / row["peak"])


def test_a_right_kernel_is_timed_beside_ours(tmp_path):
    (tmp_path / "right_kernel.py").write_text(KERNEL.format(mistake="pass"))
    document, _ = run(plan(kernel=tmp_path / "right_kernel.py"))
    (row,) = document["rows"]
    assert row["ours"] == "mine"
    assert {"mine", "numpy"} <= row["times"].keys()
    assert "numpy" in row["ratios"]
    assert suite.refusals(document) == []


def test_a_wrong_kernel_is_refused_before_a_time_is_taken(tmp_path):
    (tmp_path / "wrong_kernel.py").write_text(KERNEL.format(mistake="dW_hh = dW_hh * 1.01"))
    document, _ = run(plan(kernel=tmp_path / "wrong_kernel.py"))
    (row,) = document["rows"]
    assert "mine" not in row["times"]
    assert row["ratios"] == {}
    (words,) = suite.refusals(document)
    assert "mine" in words
    assert "dW_hh" in words


def test_a_kernel_that_is_wrong_at_the_size_alone_is_refused_by_tensor(tmp_path):
    """The proof has no case with 17 steps of 2 sequences, so the comparison at each size must find this mistake."""
    mistake = "if dx.shape[:2] == (17, 2): dx[-1, 0, 0] += 0.01"
    (tmp_path / "late_kernel.py").write_text(KERNEL.format(mistake=mistake))
    late = tmp_path / "late_kernel.py"
    document, _ = run(BenchPlan(("training",), ("lstm",), (named("2x17x5x6"),), peers=(), seconds=0.01, kernel=late))
    assert document["runs"][0]["proofs"]["mine"] is None
    (row,) = document["rows"]
    assert row["refused"]["mine"].startswith("dx[16, 0, 0] is ")
    assert "mine" not in row["times"]
    assert row["times"].keys() >= {"numpy"}
    assert len(suite.refusals(document)) == 1


def test_a_kernel_that_raises_or_ends_the_process_is_reported(tmp_path):
    mistake = "assert dx.shape[:2] != (4, 3), 'not this size'"
    (tmp_path / "raising_kernel.py").write_text(KERNEL.format(mistake=mistake))
    document, _ = run(plan(kernel=tmp_path / "raising_kernel.py"))
    assert document["rows"][0]["refused"] == {"mine": "AssertionError: not this size"}
    (tmp_path / "ending_kernel.py").write_text("import os\nos.abort()\n")
    with pytest.raises(BenchError, match="ended by SIGABRT"):
        run(plan(kernel=tmp_path / "ending_kernel.py"))


def test_a_file_without_a_record_is_a_mistake(tmp_path):
    (tmp_path / "no_kernel.py").write_text("1 / 0\n")
    with pytest.raises(BenchError, match=r"no_kernel.py: line 1: ZeroDivisionError"):
        run(plan(kernel=tmp_path / "no_kernel.py"))


def test_gates_and_steps_have_sizes_of_their_own():
    tasks = plan(("gates", "step"), ("gru",)).tasks()
    assert {task["what"] for task in tasks} == {"gates", "gates backward", "step"}
    (step,) = (task for task in tasks if task["what"] == "step")
    assert (step["size"]["B"], step["size"]["I"], step["size"]["H"]) == (1, 6, 6)


def row(ratios, what="training", size=TINY):
    return {
        "what": what, "cell": "lstm", "dtype": "float32", "threads": 1, "ours": "numpy", "size": vars(size),
        "ratios": {name: {"median": value} for name, value in ratios.items()},
    }  # fmt: skip


def test_summaries_are_geometric_means_and_the_best_peer_changes_with_the_size():
    other = Size("other", 1, 2, 3, 4, "")
    rows = [row({"torch": 2.0, "jax": 8.0}), row({"torch": 8.0, "jax": 2.0, "numba": 0.5}, size=other)]
    found = {s["peer"]: s for s in suite.summaries(rows)}
    assert found["torch"]["geometric_mean"] == pytest.approx(4)
    assert (found["torch"]["least"], found["torch"]["sizes"]) == (2, 2)
    assert found["best"]["geometric_mean"] == pytest.approx(2)
    assert found["numba"]["sizes"] == 1
    assert math.isclose(found["numba"]["geometric_mean"], 0.5)
