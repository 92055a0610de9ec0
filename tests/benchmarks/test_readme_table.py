"""The tables of the README come from a file of results, and a second run changes nothing."""

import importlib.util
import json
from pathlib import Path

import pytest

from tests.bench.made import document

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("readme_table", ROOT / "benchmarks" / "readme_table.py")
readme_table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(readme_table)


TEXT = f"before\n\n{readme_table.BEGIN}\nold\n{readme_table.END}\n\nafter\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "README.md").write_text(TEXT)
    (tmp_path / "cpu.json").write_text(json.dumps(document()))
    return tmp_path / "cpu.json", tmp_path / "README.md"


def test_only_what_stands_between_the_markers_changes_and_only_once(files):
    results, readme = files
    readme_table.main(results, readme)
    first = readme.read_text()
    assert first.startswith("before\n\n" + readme_table.BEGIN)
    assert first.endswith(readme_table.END + "\n\nafter\n")
    assert "old" not in first
    readme_table.main(results, readme)
    assert readme.read_text() == first
    assert sorted(path.name for path in readme.parent.iterdir()) == ["README.md", "cpu.json"]


def test_every_number_is_in_the_table(files):
    results, readme = files
    readme_table.main(results, readme)
    text = readme.read_text()
    assert "| small (16, 64, 64, 128) | 20 | 62% | 2.00 |" in text
    assert "| single (1, 64, 64, 128) | refused | – | – |" in text
    assert "| LSTM training | 2 | 8 | 2.00 (2.00) |" in text
    for word in ("A CPU, 2 threads, float32, 2026-01-02", "torch 2.13", "Zen kernels", "240 GFLOP/s", "cpu.json"):
        assert word in text


@pytest.mark.parametrize("text", ["", readme_table.BEGIN, f"{readme_table.END} {readme_table.BEGIN}", 2 * TEXT])
def test_markers_that_are_not_there_once_are_an_error(text):
    with pytest.raises(ValueError, match="once each"):
        readme_table.rewritten(text, "body")


def test_the_readme_has_the_markers():
    readme_table.rewritten((ROOT / "README.md").read_text(encoding="utf-8"), "body")
