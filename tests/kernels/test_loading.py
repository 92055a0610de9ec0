"""loading.py: a record is loaded from a user's file, and the message says why one can't be."""

import subprocess
import sys

import numpy as np
import pytest

import minirnn_kernels
from minirnn_kernels import KernelFileError, load

KERNELS = """
from dataclasses import replace
import minirnn_kernels
KERNELS = replace(minirnn_kernels.get("numpy"), name="mine")
"""
GATES = """
from dataclasses import replace
import minirnn_kernels
GATES = replace(minirnn_kernels.get("numpy").gates, name="mine too")
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "modules", sys.modules.copy())

    def write(text, name="kernels_of_a_user.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_record_is_loaded(write):
    assert load(write(KERNELS)).name == "mine"
    assert load(str(write(KERNELS))).name == "mine"


def test_gates_alone_get_numpys_sequences(write):
    record = load(write(GATES))
    assert record.name == record.gates.name == "mine too"
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal(shape) for shape in [(3, 2, 4), (2, 5), (5, 4), (5, 5), (5,)]]
    for got, expected in zip(
        record.rnn.inference(*arguments), minirnn_kernels.get("numpy").rnn.inference(*arguments), strict=True
    ):
        assert np.array_equal(got, expected)


def test_a_changed_file_is_run_again(write):
    load(write(KERNELS))
    assert load(write(KERNELS.replace('"mine"', '"another"'))).name == "another"


def test_files_of_one_name_in_two_folders(write):
    load(write(KERNELS, "first/kernels_of_a_user.py"))
    assert load(write(GATES, "second/kernels_of_a_user.py")).name == "mine too"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nif x\n", r"py: line 2: expected ':'$"),
        ("x = 1\n\ny = 1 / 0\n", r"py: line 3: ZeroDivisionError: division by zero$"),
        ("def f():\n    import no_such_module\n\nf()\n", r"py: line 2: ModuleNotFoundError: No module named 'no_such"),
        ("x = 1\n", r"py: defines neither KERNELS = Kernels\(\.\.\.\) nor GATES = Gates\(\.\.\.\)$"),
        ("KERNELS = {}\n", r"py: KERNELS is a dict, expected minirnn_kernels\.contract\.Kernels$"),
        ("GATES = 1\n", r"py: GATES is a int, expected minirnn_kernels\.contract\.Gates$"),
        ("from minirnn_kernels.contract import Gates as GATES", r"py: GATES is a type, expected"),
    ],
)
def test_the_message_says_what_is_wrong_in_a_file(write, text, message):
    path = write(text)
    with pytest.raises(KernelFileError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


def test_a_missing_file(tmp_path):
    with pytest.raises(KernelFileError, match=r"nothing\.py: there is no such file"):
        load(tmp_path / "nothing.py")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kernels.txt", r"kernels\.txt: isn't a Python file, expected a name that ends in \.py"),
        ("my-kernels.py", r"'my-kernels' can't be a module's name"),
        ("numpy.py", r"there is another module called 'numpy', give the file another name"),
        ("wave.py", r"there is another module called 'wave'"),  # in the standard library, but not imported
    ],
)
def test_impossible_names(write, name, message):
    with pytest.raises(KernelFileError, match=message):
        load(write(KERNELS, name))
    assert sys.modules["numpy"] is np


def test_bytes_that_are_not_text(write):
    path = write("")
    path.write_bytes(b"x = '\xff'\n")
    with pytest.raises(KernelFileError, match="kernels_of_a_user"):
        load(path)


COMPILED = """
import numba
from dataclasses import replace
import minirnn_kernels

@numba.njit(cache=True)
def gru(gates, h_prev, h):
    h[:] = 0

gates = minirnn_kernels.get("numpy").gates
GATES = replace(gates, name="mine", gru=replace(gates.gru, forward=gru))
"""


def test_another_process_finds_the_compiled_functions_of_a_file(write):
    path = write(COMPILED)
    load = f"from minirnn_kernels import load; gru = load({str(path)!r}).gates.gru.forward"
    call = "import numpy as np; gru(np.zeros((4, 2, 3)), np.zeros((2, 3)), np.zeros((2, 3)))"
    program = f"{load}; {call}; print(sum(gru.stats.cache_hits.values()))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True
        )
        for _ in range(2)
    ]
    assert [run.stdout.strip() for run in runs] == ["0", "1"], runs
