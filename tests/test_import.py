"""`import minirnn` imports NumPy and the standard library, and no other package."""

import subprocess
import sys

PROGRAM = """
import sys, numpy
before = set(sys.modules)
import minirnn
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(new - {"numpy"} - set(sys.stdlib_module_names)))
"""


def test_import_loads_nothing_but_numpy():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["minirnn", "minirnn_kernels"], done.stderr


def test_save_and_load_are_available_nevertheless():
    import minirnn

    assert minirnn.save is minirnn.checkpoint.save
    assert set(minirnn.__all__) <= set(dir(minirnn)) | {"load", "save"}
