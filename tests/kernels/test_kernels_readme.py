"""kernels/README.md: the worked example passes the proof as printed, and wrong variants of it fail."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "kernels" / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(KERNEL,) = (code for code in PYTHON if code.startswith('"""my_kernel.py'))
(PROOF,) = (code for code in PYTHON if "prove(minirnn_kernels.load(" in code)


def proof(folder, kernel):
    (folder / "my_kernel.py").write_text(kernel, encoding="utf-8")
    env = {"PYTHONPATH": ":".join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", PROOF], cwd=folder, env=env, capture_output=True, text=True)


def test_the_kernel_is_proven_as_printed(tmp_path):
    done = proof(tmp_path, KERNEL)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            "i * (1 - i)",
            "(1 - i)",
            "mine gates, lstm_backward, float64, case 'B=1, H=1, contiguous', da_i: worst entry",
        ),
        ("* c_prev[b, k] * f *", "* c[b, k] * f *", "lstm_backward, float64, case 'B=1, H=1, contiguous', da_f: worst"),
    ],
)
def test_the_mistakes_it_names_are_caught(tmp_path, right, wrong, message):
    assert KERNEL.count(right) == 1
    done = proof(tmp_path, KERNEL.replace(right, wrong))
    assert done.returncode == 1
    assert message in done.stderr


def test_the_files_it_lists_are_there():
    listed = set(re.findall(r"`minirnn_kernels/([\w/]+\.py)`", README))
    folder = Path(__file__).parents[2] / "kernels" / "minirnn_kernels"
    assert (
        {"gates.py", "contract.py", "cpu/loops.py"}
        <= listed
        <= {str(path.relative_to(folder)) for path in folder.rglob("*.py")}
    )
