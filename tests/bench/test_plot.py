"""The figure: drawn from a document, readable without colours, written atomically."""

import sys

import pytest

from minirnn.bench import plot
from minirnn.bench.errors import BenchError
from tests.bench.made import document


def test_a_document_becomes_a_picture_in_grey(tmp_path):
    pytest.importorskip("matplotlib")
    import matplotlib.image

    made = document()
    plot.draw(made, tmp_path / "figure.png")
    pixels = matplotlib.image.imread(tmp_path / "figure.png")[..., :3]
    assert (pixels.max(axis=-1) - pixels.min(axis=-1)).max() < 0.02
    assert pixels.min() < 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_every_row_and_peer_has_its_bar(tmp_path):
    pytest.importorskip("matplotlib")
    plot.draw(document(), tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text()
    assert "torch / ours" in text
    assert "lstm inference deepbench-1024x64 (2)" in text
    assert "peak, float32, 2 threads" in text


def test_names_that_cannot_be_drawn_are_refused_before_anything_is_measured(tmp_path, monkeypatch):
    with pytest.raises(BenchError, match=r"ends in .png, .svg, .pdf"):
        plot.check(tmp_path / "figure.docx")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BenchError, match=r"needs matplotlib: pip install"):
        plot.check(tmp_path / "figure.png")
