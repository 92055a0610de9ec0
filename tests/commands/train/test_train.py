"""`minirnn train` as a process: killed, stopped by Ctrl-C or out of disk space, it still ends with the same weights."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from minirnn import checkpoint

# With two layers and dropout, the optimiser, the carried state and the random state all matter. With a checkpoint at
# every other step and many validations, a kill at a random moment often interrupts the writing of a file.
OPTIONS = (
    "--cell lstm --hidden 6 --layers 2 --embedding 4 --dropout 0.2 --seq 5 --batch 3 --steps 1000 --checkpoint-every 2"
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and resource limits are POSIX")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("text") / "t.txt"
    path.write_text("".join(rng.choice(list("the cat sat.\n"), 700)))
    return path


def start(*arguments, code=None):
    """Start `minirnn train` in its own process, with one BLAS thread."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(["-c", code] if code else ["-m", "minirnn.cli"]), "train", *map(str, arguments)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def wait_for(path, process):
    while not path.exists() and process.poll() is None:
        time.sleep(0.005)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    code, _out, err = finish(start("--text", text, "--out", folder, *OPTIONS.split()))
    assert code == 0, err
    return folder


def test_killed_five_times_and_resumed_it_ends_in_the_same_bits(tmp_path, text, undisturbed):
    rng = np.random.default_rng(int(os.environ.get("MINIRNN_TEST_SEED", "0")))
    folder = tmp_path / "run"
    stored = [0]
    process = start("--text", text, "--out", folder, *OPTIONS.split())
    for _ in range(5):
        wait_for(folder / "last.safetensors", process)
        began = (folder / "last.safetensors").stat().st_mtime_ns
        while (folder / "last.safetensors").stat().st_mtime_ns == began and process.poll() is None:
            time.sleep(0.002)  # until the resumed run trains
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        finish(process)
        assert process.returncode == -signal.SIGKILL, "the run was over before it was killed"
        stored.append(checkpoint.load(folder / "last.safetensors")["step"])
        process = start("--resume", folder)
    code, out, err = finish(process)
    assert code == 0, err
    assert f"continuing at step {stored[-1]} of 1000" in out
    assert stored == sorted(stored)
    assert 0 < stored[-1] < 1000
    for name in ("last.safetensors", "best.safetensors"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), (name, stored)
    assert sorted(path.name for path in folder.iterdir()) == ["best.safetensors", "last.safetensors"]


def test_ctrl_c_stores_the_last_step_and_says_how_to_go_on(tmp_path, text, undisturbed):
    folder = tmp_path / "run"
    process = start("--text", text, "--out", folder, *OPTIONS.split()[:-1], 10**6)  # no checkpoint except the first
    wait_for(folder / "last.safetensors", process)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130
    assert err == ""
    assert f"continue with: minirnn train --resume {folder}" in out
    step = checkpoint.load(folder / "last.safetensors")["step"]
    assert f"stopped after step {step} of 1000; the run is saved" in out
    assert step > 0
    code, _out, err = finish(start("--resume", folder))
    assert code == 0, err
    mine, theirs = (checkpoint.load(path / "last.safetensors") for path in (folder, undisturbed))
    assert all(mine["model"][name].tobytes() == theirs["model"][name].tobytes() for name in theirs["model"])


def test_a_full_disk_is_one_message_and_the_old_checkpoint_stays(tmp_path, text):
    """The limit on file sizes is lowered after step 10, so the write at step 12 fails halfway."""
    folder = tmp_path / "run"
    code = (
        "import resource\nfrom minirnn import cli\nfrom minirnn.language import training\n"
        "step = training.Trainer.step\n"
        "def limited(self):\n"
        "    if self.steps_done == 10:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))\n"
        "    return step(self)\n"
        "training.Trainer.step = limited\ncli.main()"
    )
    returned, _out, err = finish(start("--text", text, "--out", folder, *OPTIONS.split(), "--steps", 100, code=code))
    assert returned == 2
    assert err == f"minirnn train: {folder / 'last.safetensors'}: cannot write the checkpoint: File too large\n"
    assert checkpoint.load(folder / "last.safetensors")["step"] == 10
    assert sorted(path.name for path in folder.iterdir()) == ["best.safetensors", "last.safetensors"]
    returned, _out, err = finish(start("--resume", folder))
    assert returned == 0, err


def test_a_run_on_another_machine_is_continued_with_a_note(tmp_path, text):
    folder = tmp_path / "run"
    short = [*OPTIONS.split(), "--steps", 4]
    assert finish(start("--text", text, "--out", folder, *short))[0] == 0
    state = checkpoint.load(folder / "last.safetensors")
    state["step"], state["environment"]["numpy"] = 2, "1.0"
    checkpoint.save(folder / "last.safetensors", state)
    code, out, err = finish(start("--resume", folder))
    assert code == 0, err
    assert "note: the bits can differ" in out
