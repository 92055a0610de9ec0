"""Runs: stopping and resuming do not change the results, checkpoints are kept, and a calibrated run fits its time."""

import dataclasses
import errno
import os
import signal

import numpy as np
import pytest

from minirnn import checkpoint, random
from minirnn.checkpoint import CheckpointError
from minirnn.language import BEST, LAST, ConfigError, Trainer, calibrate, checkpoint_file, run
from minirnn_kernels.cell import CELLS
from tests.language.trainers import CORPUS, SMALL, Silent, small


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("optimizer", "teacher"), [("adam", "inverse-sigmoid"), ("rmsprop", "always")])
def test_resuming_at_any_step_ends_in_the_same_bits(tmp_path, cell, optimizer, teacher):
    """The run is stopped in the middle of an epoch, at its start, and after a validation, with dropout."""
    config = dataclasses.replace(SMALL, cell=cell, optimizer=optimizer, teacher=teacher, steps=70, validate_every=13)
    (tmp_path / "whole").mkdir()
    run(Trainer(config, CORPUS), tmp_path / "whole", Silent())
    windows = len(Trainer(config, CORPUS).batches)
    assert windows < 70
    for stop in (1, 13, windows):
        folder = tmp_path / f"stopped at {stop}"
        folder.mkdir()
        ctrl_c = {stop: lambda: signal.raise_signal(signal.SIGINT)}
        assert not run(Trainer(config, CORPUS), folder, Silent(ctrl_c))
        random.manual_seed(99)  # another process would not have this generator state either
        again = Trainer.resume(folder / LAST, lambda _name: CORPUS)
        assert again.steps_done == stop
        assert run(again, folder, Silent())
        for name in (LAST, BEST):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), (stop, name)


def test_how_often_it_validates_and_stores_changes_no_weight(tmp_path):
    for name, changes in {"a": {}, "b": {"validate_every": 3, "checkpoint_every": 2}}.items():
        (tmp_path / name).mkdir()
        run(small(steps=30, **changes), tmp_path / name, Silent())
    a, b = (checkpoint.load(tmp_path / name / LAST) for name in "ab")
    assert all(np.array_equal(a["model"][key], b["model"][key]) for key in a["model"])
    assert a["random"] == b["random"]


def test_calibration_leaves_the_generator_and_the_run_alone():
    random.manual_seed(4)
    before = random.get_state()
    config = calibrate(SMALL, CORPUS, 0.5)
    assert random.get_state() == before
    assert config.steps >= 1
    assert dataclasses.replace(config, steps=SMALL.steps, validate_every=SMALL.validate_every) == SMALL


def test_calibrated_runs_take_about_as_long_as_asked():
    short, longer = calibrate(SMALL, CORPUS, 1.0), calibrate(SMALL, CORPUS, 10.0)
    assert 3 < longer.steps / short.steps < 40  # 10, apart from noise and the time of the measurement
    assert calibrate(SMALL, CORPUS, 1e-6).steps == 1


def test_a_checkpoint_is_there_at_step_0_and_at_the_end(tmp_path):
    stored = []
    run(
        small(steps=5, checkpoint_every=2),
        tmp_path,
        Silent({1: lambda: stored.append(checkpoint.load(tmp_path / LAST))}),
    )
    assert stored[0]["step"] == 0
    assert checkpoint.load(tmp_path / LAST)["step"] == 5


def test_the_best_validated_state_is_kept_beside_the_last(tmp_path):
    trainer, losses = small(steps=6, validate_every=1), iter([3.0, 2.0, 1.0, 1.5, 1.0, 4.0, 2.0])
    trainer.validate = lambda: next(losses)
    run(trainer, tmp_path, Silent())
    best, last = checkpoint.load(tmp_path / BEST), checkpoint.load(tmp_path / LAST)
    assert (best["step"], last["step"]) == (2, 6)
    assert last["best"] == {"loss": 1.0, "step": 2}
    assert last["validations"] == [[0, 3.0], [1, 2.0], [2, 1.0], [3, 1.5], [4, 1.0], [5, 4.0], [6, 2.0]]


def test_leftovers_of_a_killed_save_are_removed(tmp_path):
    (tmp_path / f".{LAST}.123.456.tmp").write_bytes(b"half")
    run(small(steps=1), tmp_path, Silent())
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST, LAST]


def test_a_second_ctrl_c_interrupts_at_once_and_the_handler_is_put_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)

    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(small(), tmp_path, Silent({3: twice}))
    assert signal.getsignal(signal.SIGINT) is before
    assert checkpoint.load(tmp_path / LAST)["step"] == 0


def test_a_full_disk_in_mid_run_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    def fill():
        def full(_fd):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(CheckpointError, match="No space left"):
        run(small(checkpoint_every=5, validate_every=1000), tmp_path, Silent({7: fill}))
    monkeypatch.undo()
    assert checkpoint.load(tmp_path / LAST)["step"] == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST, LAST]


def test_the_file_of_a_run_is_found(tmp_path):
    with pytest.raises(CheckpointError, match="no such run"):
        checkpoint_file(tmp_path / "absent", BEST)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoint_file(tmp_path, BEST)
    (tmp_path / LAST).write_text("")
    assert checkpoint_file(tmp_path, BEST) == tmp_path / LAST
    (tmp_path / BEST).write_text("")
    assert checkpoint_file(tmp_path, BEST) == tmp_path / BEST
    assert checkpoint_file(tmp_path, LAST) == tmp_path / LAST
    assert checkpoint_file(tmp_path / LAST, BEST) == tmp_path / LAST


def test_two_processes_cannot_train_in_one_folder(tmp_path):
    pytest.importorskip("fcntl", reason="without file locks, two runs in one folder are not detected")

    class Second(Silent):
        def step(self, report):
            with pytest.raises(ConfigError, match="another process is training in this folder"):
                run(small(steps=1), tmp_path, Silent())

    assert run(small(steps=2), tmp_path, Second())
