"""The pytest plugin: its failures show the report without a traceback, and loading it does not import minirnn."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = """
import numpy as np

def forward(x):
    return np.sin(x), x

def test_right(gradcheck):
    report = gradcheck(forward, lambda dy, x: dy * np.cos(x), [np.ones(3)])
    assert report["x"].name == "x"

def test_wrong(gradcheck):
    gradcheck(forward, lambda dy, x: dy * np.sin(x), [np.ones(3)])
"""


def run(arguments, **options):
    path = os.pathsep.join(map(str, [ROOT, ROOT / "kernels"]))
    env = os.environ | {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, **options)


def test_a_failure_shows_the_table_and_no_traceback(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    done = run(["-m", "pytest", "-p", "minirnn_pytest", "-p", "no:cacheprovider", "test_it.py"], cwd=tmp_path)
    assert "1 failed, 1 passed" in done.stdout
    assert "gradient check: FAIL" in done.stdout
    assert "judge's value" in done.stdout
    assert "check.py" not in done.stdout


def test_loading_the_plugin_does_not_import_minirnn():
    done = run(["-c", "import sys, minirnn_pytest; print([n for n in ('minirnn', 'numpy') if n in sys.modules])"])
    assert done.stdout.strip() == "[]"


def test_the_plugin_is_declared_in_pyproject():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["project"]["entry-points"]["pytest11"] == {"minirnn": "minirnn_pytest"}
