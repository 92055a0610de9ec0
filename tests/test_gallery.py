"""docs/gallery.md matches the stored results of the experiments, and each experiment has a figure of limited size."""

import importlib.util
import json
from pathlib import Path

import pytest

from minirnn import course

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def make_gallery():
    spec = importlib.util.spec_from_file_location("make_gallery", DOCS / "make_gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_matches_the_stored_results(make_gallery):
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == make_gallery.page()


@pytest.mark.parametrize("name", course.EXPERIMENTS)
def test_each_experiment_has_its_results_and_a_figure(name):
    assert (DOCS / "gallery" / f"{name}.png").stat().st_size < 200_000
    document = json.loads((DOCS / "gallery" / f"{name}.json").read_text(encoding="utf-8"))
    experiment = course.find(name)
    assert (document["claim"], document["source"]) == (experiment.CLAIM, experiment.SOURCE)
    assert document["effort"] == "default"
    assert document["verdict"] == "held" or document["why"]


@pytest.mark.parametrize("name", course.EXPERIMENTS)
def test_the_figure_can_be_drawn_again_from_the_numbers(name):
    numbers = json.loads((DOCS / "gallery" / f"{name}.json").read_text(encoding="utf-8"))["numbers"]
    assert course.find(name).draw(numbers).axes
    assert all(table.rows for table in course.find(name).tables(numbers))
