"""Templates run, are judged unfinished, contain every function, and don't overwrite a file."""

import pytest

from minirnn.assignments import TASKS, judge
from minirnn.assignments.catalogue.templates import ASSIGNMENTS, start, template
from tests.assignments.students import load


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_a_template_runs_and_is_unfinished(name):
    assignment = ASSIGNMENTS[name]
    source = template(assignment)
    assert all(len(line) <= 120 for line in source.splitlines())
    subject = load(source)
    for task in assignment.tasks:
        assert judge(subject, TASKS[task]).status == "unfinished"
        assert all(subject.functions[function].__doc__ for function in TASKS[task].functions)


def test_every_task_belongs_to_an_assignment():
    assert {task for a in ASSIGNMENTS.values() for task in a.tasks} == set(TASKS)


def test_nothing_is_overwritten(tmp_path):
    path = start("lstm", tmp_path / "new")
    before = path.read_text()
    with pytest.raises(FileExistsError):
        start("lstm", tmp_path / "new")
    assert path.read_text() == before
    assert [p.name for p in path.parent.iterdir()] == ["lstm.py"]
