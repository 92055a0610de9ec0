"""The table shows the numbers of the document; files are written atomically."""

import io
import json

import pytest
from rich.console import Console

from minirnn.bench import report
from tests.bench.made import document, times_of


def shown(made):
    stream = io.StringIO()
    report.show(Console(file=stream, width=120), made)
    return stream.getvalue()


def test_times_ratios_and_the_machine_are_shown():
    text = shown(document())
    assert "A CPU, 2 cores" in text
    assert "torch 2.13" in text
    assert "openblas 0.3, Zen kernels" in text
    assert "2 threads: peak 240 GFLOP/s float32, 30 GB/s in 256 MiB" in text
    assert "×2.00" in text
    assert "62%" in text
    assert "geometric mean of their time / ours: torch 2.00 (least 2.00)" in text
    assert "×2.00" in text
    assert "not measured: jax: No module named 'jax'" in text


def test_a_wrong_result_has_no_time_and_is_named():
    text = shown(document())
    assert "refused" in text
    assert "WRONG, not timed: numba, lstm training single float32, 2 threads: dW_hh[1, 2] is 3, expected 4" in text


def test_a_busy_machine_is_reported():
    made = document()
    assert "NOT QUIET" not in shown(made)
    made["runs"][0]["others"] = 0.25
    made["rows"][1]["others"] = 0.4
    assert "NOT QUIET: other programs took 25% of the cores" in shown(made)
    assert "small (40% taken)" in shown(made)
    made["runs"][0] |= {"others": None, "reason": "numba: none", "flops": {}, "traffic": {}}
    assert "no peak measured (numba: none)" in shown(made)


def test_gates_are_shown_with_their_bound():
    assert "10 µs ×2.00" in shown(document())


def test_phases_are_shown():
    made = document()
    names = ("import", "compile", "cache_load", "first_call", "steady")
    made["phases"] = [{"record": "numba"} | {name: k + 1.0 for k, name in enumerate(names)}]
    assert "compile" in shown(made)
    assert "2 s" in shown(made)


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.0, "2 s"), (0.0123, "12.3 ms"), (4.56e-5, "45.6 µs"), (7e-8, "70 ns"), (0.0, "0 ns")]
)
def test_durations_have_a_unit(seconds, text):
    assert report.duration(seconds) == text


def test_the_file_is_the_document(tmp_path):
    made = document()
    report.write(tmp_path / "made.json", made)
    assert json.loads((tmp_path / "made.json").read_text()) == made
    with pytest.raises(TypeError):
        report.write(tmp_path / "made.json", made | {"seed": object()})
    assert json.loads((tmp_path / "made.json").read_text()) == made
    assert [path.name for path in tmp_path.iterdir()] == ["made.json"]


def test_quartiles_are_shown_relative_to_the_median():
    assert report._time(times_of(1e-3, 1.0)) == "1 ms\n-10% +10%"
