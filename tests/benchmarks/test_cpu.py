"""The parts of the suite cover the published tables, and results of separate runs are merged."""

import importlib.util
from pathlib import Path

from minirnn.bench.sizes import NINE

FILE = Path(__file__).parents[2] / "benchmarks" / "cpu.py"
spec = importlib.util.spec_from_file_location("cpu_suite", FILE)
cpu = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cpu)


def test_the_lstm_is_measured_at_all_nine_sizes_on_one_thread_and_all():
    for part in ("training", "inference"):
        plan = cpu.plan(part, 1.0, 2)
        assert plan.sizes == NINE
        assert plan.threads == (1, 2)
    assert cpu.plan("float64", 1.0, 2).dtypes == ("float64",)
    assert {what for part in cpu.PARTS for what in cpu.plan(part, 1.0, 2).whats} >= {"gates", "step", "lengths"}


def row(size, ratio):
    return {
        "what": "training", "cell": "lstm", "dtype": "float32", "threads": 2, "ours": "numba", "size": {"name": size},
        "ratios": {"torch": {"median": ratio}},
    }  # fmt: skip


def document(rows, part):
    return {"rows": rows, "runs": [{"part": part}], "summaries": [], "machine": part}


def test_new_rows_replace_old_ones_and_the_others_stay():
    old = document([row("a", 1.0), row("b", 2.0)], "training")
    new = document([row("a", 8.0)], "forward")
    made = cpu.merged(old, new)
    assert sorted(r["ratios"]["torch"]["median"] for r in made["rows"]) == [2.0, 8.0]
    assert [run["part"] for run in made["runs"]] == ["training", "forward"]
    assert {s["geometric_mean"] for s in made["summaries"]} == {4.0}
    assert made["machine"] == "forward"
    assert len(cpu.merged(made, document([row("a", 3.0)], "training"))["runs"]) == 2
    assert cpu.merged(None, new) is new
