"""The language check finds planted phrases in every kind of file and accepts plain prose."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "docs" / "check_language.py"


@pytest.fixture(scope="module")
def check_language():
    spec = importlib.util.spec_from_file_location("check_language", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def found(check_language, tmp_path):
    """Return a function that writes a file and returns the (line, phrase) pairs found in it."""

    def check(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return [(line, phrase) for line, phrase, _ in check_language.findings(path)]

    return check


PLANTED = {
    "Markdown": ("page.md", "# Title\n\nIt is drawn anew.\n", (3, "anew")),
    "docstring": ("a.py", 'def f():\n    """Return x.\n\n    The value that stands in x.\n    """\n', (4, "stands in")),
    "comment": ("b.py", "x = 1\ny = 2  # the one beside it\n", (2, "beside")),
    "string": ("c.py", 'x = 1\nprint("all but for one")\n', (2, "but for")),
    "f-string": ("d.py", 'x = 1\nprint(f"{x} of so many")\n', (2, "so many")),
    "C++ line comment": ("e.cuh", "int x;\nint y;  // the way back\n", (2, "the way back")),
    "C++ block comment": ("f.cpp", "int x;\n/* y:\n   a size of its own */\n", (3, "of its own")),
    "Makefile": ("Makefile", "all:\n# whoever calls it\n", (2, "whoever")),
    "shell comment": ("g.sh", "ls\nls  # unasked\n", (2, "unasked")),
    "line break": ("page2.md", "A way\nof its\nown.\n", (2, "of its own")),
    "sentence about who": ("page3.md", "Gates. Who has only gates gets the rest.\n", (1, "Who ")),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_phrase_is_found_at_its_line(found, kind):
    name, text, (line, phrase) = PLANTED[kind]
    assert found(name, text) == [(line, phrase.strip())]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.md", "Return the gradient of its own loss. Who is this page for? It is next to the code, besides.\n"),
        ("a.py", '"""Return the state anew_state, which is defined in `beside_`."""\nanew = beside = 1\n'),
        ("e.cuh", "int anew;  // one barrier per step\n"),
        ("Makefile", "anew:\n\techo beside\n"),
        ("data.json", '{"anew": "beside"}\n'),
    ],
)
def test_plain_prose_and_code_pass(found, name, text):
    assert found(name, text) == []


def test_a_marked_line_is_skipped(found):
    assert found("a.py", 'WORDS = ("beside",)  # prose: ok\nMORE = ("beside",)\n') == [(2, "beside")]


def test_the_command_lists_the_findings_and_fails(check_language, tmp_path, capsys):
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text("Plain prose.\n")
    bad.write_text("Plain prose.\nDrawn anew.\n")
    assert check_language.main([str(good)]) == 0
    assert capsys.readouterr().out == ""
    assert check_language.main([str(good), str(bad)]) == 1
    assert capsys.readouterr().out == f'{bad}:2: "anew": again\n1 phrases to rewrite\n'
