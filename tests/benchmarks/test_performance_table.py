"""The tables of docs/performance.md come from a file of results, and a second run changes nothing."""

import importlib.util
import json
from pathlib import Path

import pytest

from tests.bench.made import document

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("performance_table", ROOT / "benchmarks" / "performance_table.py")
performance_table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(performance_table)


TEXT = f"before\n\n{performance_table.BEGIN}\nold\n{performance_table.END}\n\nafter\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "performance.md").write_text(TEXT)
    (tmp_path / "cpu.json").write_text(json.dumps(document()))
    return tmp_path / "cpu.json", tmp_path / "performance.md"


def test_only_the_text_between_the_markers_changes_and_only_once(files):
    results, page = files
    performance_table.main(results, page)
    first = page.read_text()
    assert first.startswith("before\n\n" + performance_table.BEGIN)
    assert first.endswith(performance_table.END + "\n\nafter\n")
    assert "old" not in first
    performance_table.main(results, page)
    assert page.read_text() == first
    assert sorted(path.name for path in page.parent.iterdir()) == ["cpu.json", "performance.md"]


def test_every_number_is_in_the_table(files):
    results, page = files
    performance_table.main(results, page)
    text = page.read_text()
    assert "| small (16, 64, 64, 128) | 20 | 62% | 2.00 |" in text
    assert "| single (1, 64, 64, 128) | refused | – | – |" in text
    assert "| LSTM training | 2 | 8 | 2.00 (2.00) |" in text
    for word in ("A CPU, 2 threads, float32, 2026-01-02", "torch 2.13", "Zen kernels", "240 GFLOP/s", "cpu.json"):
        assert word in text


@pytest.mark.parametrize(
    "text", ["", performance_table.BEGIN, f"{performance_table.END} {performance_table.BEGIN}", 2 * TEXT]
)
def test_each_marker_must_occur_once(text):
    with pytest.raises(ValueError, match="once each"):
        performance_table.rewritten(text, "body")


def test_the_page_has_the_markers():
    performance_table.rewritten((ROOT / "docs" / "performance.md").read_text(encoding="utf-8"), "body")
