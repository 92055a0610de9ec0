"""`minirnn train`: options reach the run, a resumed run keeps its settings, and a user error gives one message."""

import dataclasses
import os
import re
import sys

import numpy as np
import pytest

from minirnn import checkpoint
from minirnn.language import TrainConfig
from tests.commands.command_line import SMALL, TEXT, minirnn, refused
from tests.doubles import fake_cupy

# ---- a new run


def test_every_option_reaches_the_stored_settings(tmp_path, text):
    options = {
        "cell": "gru",
        "hidden": 6,
        "layers": 2,
        "embedding": 4,
        "seq": 5,
        "batch": 3,
        "optimizer": "rmsprop",
        "lr": 0.001,
        "clip_norm": 1.5,
        "clip_value": 0.25,
        "dropout": 0.125,
        "steps": 4,
        "checkpoint_every": 3,
        "seed": 11,
        "dtype": "float64",
    }
    default = dataclasses.asdict(TrainConfig())
    assert all(default[name] != value for name, value in options.items())
    arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    assert minirnn("train", "--text", text, "--out", tmp_path / "r", *arguments).exit_code == 0
    stored = checkpoint.load(tmp_path / "r" / "last.safetensors")
    assert stored["config"] == default | options | {"text": str(text)}
    assert stored["model"]["linear.weight"].dtype == np.float64
    assert stored["step"] == 4


def test_the_defaults_are_those_of_the_library(tmp_path, monkeypatch):
    from minirnn.commands.train import train

    asked = []
    monkeypatch.setattr(train, "start", lambda config, *_rest: (asked.append(config), True)[1])
    assert minirnn("train").exit_code == 0
    assert asked == [TrainConfig()]


def test_clipping_is_switched_off_by_0(tmp_path, text):
    minirnn("train", "--text", text, "--out", tmp_path / "r", *SMALL, "--clip-norm", 0)
    config = checkpoint.load(tmp_path / "r" / "last.safetensors")["config"]
    assert (config["clip_norm"], config["clip_value"]) == (None, None)


def test_it_reports_losses_in_both_units_beside_counting_models(finished, text, tmp_path):
    result = minirnn("train", "--text", text, "--out", tmp_path / "r", *SMALL)
    lines = result.stdout.splitlines()
    assert any(line.startswith("text: ") and "480 characters, SHA-256" in line for line in lines)
    assert any("step 6/6" in line and "|g|" in line and "char/s" in line and "left" in line for line in lines)
    for name in ("unigram model", "bigram model", "this model"):
        nats, bits = re.search(rf"{name} +([\d.]+) nats \(([\d.]+) bits\) per character", result.stdout).groups()
        assert float(bits) == pytest.approx(float(nats) / np.log(2), abs=1e-4)
    assert "seed 0" in result.stdout


def test_epochs_and_minutes_become_steps(tmp_path, text):
    small = SMALL[:-2]
    minirnn("train", "--text", text, "--out", tmp_path / "e", *small, "--epochs", 0.5)
    windows = (432 - 1) // 2 // 4
    assert checkpoint.load(tmp_path / "e" / "last.safetensors")["config"]["steps"] == round(windows / 2)
    result = minirnn("train", "--text", text, "--out", tmp_path / "m", *small, "--minutes", 0.005)
    steps = checkpoint.load(tmp_path / "m" / "last.safetensors")["config"]["steps"]
    assert f" {steps} steps of" in result.stdout


def test_a_run_goes_to_a_dated_folder_by_default(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = minirnn("train", "--text", text, *SMALL)
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"minirnn sample {folder.relative_to(tmp_path)}" in result.stdout
    assert (folder / "best.safetensors").exists()


def test_the_same_seed_gives_the_same_file_and_another_seed_another(tmp_path, text, finished):
    minirnn("train", "--text", text, "--out", tmp_path / "a", *SMALL)
    minirnn("train", "--text", text, "--out", tmp_path / "b", *SMALL, "--seed", 1)
    stored = [(folder / "last.safetensors").read_bytes() for folder in (finished, tmp_path / "a", tmp_path / "b")]
    assert stored[0] == stored[1]
    assert stored[0] != stored[2]


@pytest.mark.parametrize("name", ["gpu", "cuda", "cupy"])
def test_a_run_on_a_gpu_is_resumed_without_one_and_samples_anywhere(gpu, tmp_path, text, name):
    folder = tmp_path / "run"
    assert minirnn("train", "--text", text, "--out", folder, *SMALL, "--device", name).exit_code == 0
    assert checkpoint.load(folder / "last.safetensors")["environment"]["kernels"] == "cupy"
    assert "complete" in minirnn("train", "--resume", folder, "--device", "cpu").output
    texts = {
        minirnn("sample", folder, "--prompt", "the", "--length", 30, "--seed", 1, "--device", device).stdout
        for device in ("cpu", name)
    }
    assert len(texts) == 1
    assert minirnn("sample", folder, "--beam", 2, "--length", 5, "--device", name).exit_code == 0


def test_device_gpu_without_one_is_refused_in_a_line_before_anything_is_begun(tmp_path, text, monkeypatch, finished):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy.module(devices=0))
    folder = tmp_path / "run"
    for command in (("train", "--text", text, "--out", folder), ("train", "--resume", finished), ("sample", finished)):
        message = refused(minirnn(*command, "--device", "gpu"), "CuPy 14.2.0 finds no GPU")
        assert message.startswith(f"minirnn {command[0]}: ")
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy.module())
    monkeypatch.setenv("MINIRNN_KERNELS", "numpy")
    result = minirnn("train", "--text", text, "--out", folder, "--device", "gpu")
    refused(result, "--device gpu: the numpy kernels do not accept arrays of cupy float64")
    assert not folder.exists()


# ---- resume


def test_a_complete_run_is_left_alone(finished):
    before = (finished / "last.safetensors").read_bytes()
    result = minirnn("train", "--resume", finished)
    assert result.exit_code == 0
    assert "all 6 steps are done" in result.stdout
    assert (finished / "last.safetensors").read_bytes() == before


def test_a_resumed_run_keeps_its_settings(finished):
    refused(minirnn("train", "--resume", finished, "--hidden", 9), "hidden of the run in", "is 5, not 9")
    refused(minirnn("train", "--resume", finished, "--steps", 9), "steps of the run in", "is 6, not 9")
    refused(minirnn("train", "--resume", finished, "--out", "x"), "--out can't be used with --resume")
    refused(minirnn("train", "--resume", finished, "--minutes", 1), "--minutes can't be used with --resume")
    assert minirnn("train", "--resume", finished, *SMALL).exit_code == 0


def test_resuming_needs_the_same_text(finished, tmp_path):
    (tmp_path / "other.txt").write_text(TEXT + "x")
    refused(minirnn("train", "--resume", finished, "--text", tmp_path / "other.txt"), "is not the text that")
    (tmp_path / "moved.txt").write_text(TEXT)
    assert minirnn("train", "--resume", finished, "--text", tmp_path / "moved.txt").exit_code == 0


def test_a_run_remembers_where_its_text_is(tmp_path, text, monkeypatch):
    monkeypatch.chdir(text.parent)
    assert minirnn("train", "--text", text.name, "--out", tmp_path / "r", *SMALL).exit_code == 0
    monkeypatch.chdir(tmp_path)
    assert minirnn("train", "--resume", "r").exit_code == 0


def test_an_existing_run_is_never_overwritten(finished, text):
    before = (finished / "last.safetensors").read_bytes()
    refused(minirnn("train", "--text", text, "--out", finished, *SMALL), "already holds a run", "--resume")
    assert (finished / "last.safetensors").read_bytes() == before


def test_there_must_be_a_run_to_resume(tmp_path):
    refused(minirnn("train", "--resume", tmp_path / "absent"), "there is no such run")
    refused(minirnn("train", "--resume", tmp_path), "holds no checkpoint")


# ---- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--text", "no-such-corpus"], ["no corpus and no file is called 'no-such-corpus'", "python-docs"]),
        (["--text", "/"], ["cannot read /", "directory"]),
        (["--hidden", "0"], ["hidden must be at least 1, got 0"]),
        (["--hidden", "x"], ["--hidden"]),
        (["--lr", "-1"], ["lr must be"]),
        (["--lr", "nan"], ["lr must be"]),
        (["--dropout", "1"], ["dropout must be"]),
        (["--seed", "-1"], ["seed must be at least 0"]),
        (["--cell", "qrnn"], ["--cell", "'qrnn'"]),
        (["--dtype", "float16"], ["--dtype"]),
        (["--optimizer", "lion"], ["--optimizer"]),
        (["--minutes", "0"], ["minutes must be"]),
        (["--minutes", "nan"], ["minutes must be"]),
        (["--epochs", "inf"], ["epochs must be"]),
        (["--steps", "5", "--minutes", "1"], ["--minutes and --steps cannot be used together"]),
        (["--frobnicate"], ["--frobnicate"]),
    ],
)
def test_bad_options_are_named_and_nothing_is_left_behind(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    refused(minirnn("train", *options, "--out", tmp_path / "r"), *words)
    assert not (tmp_path / "r").exists() or not any((tmp_path / "r").iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"abc\xff", ["is not UTF-8: byte 0xff at offset 3"]),
        (b"", ["is empty"]),
        (b"short", ["has 5 characters", "needs"]),
    ],
)
def test_bad_texts_are_named(tmp_path, content, words):
    (tmp_path / "t").write_bytes(content)
    refused(minirnn("train", "--text", tmp_path / "t", "--out", tmp_path / "r", *SMALL), str(tmp_path / "t"), *words)


def test_an_impossible_folder_is_named(tmp_path, text):
    (tmp_path / "file").write_text("")
    refused(minirnn("train", "--text", text, "--out", tmp_path / "file" / "r"), "cannot make the folder")
    refused(minirnn("train", "--text", text, "--out", tmp_path / "file"), "cannot make the folder")


def test_an_unwritable_folder_is_named(tmp_path, text, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_args: False)
    refused(minirnn("train", "--text", text, "--out", tmp_path / "r"), "is not writable")


def test_a_loss_that_is_no_number_is_explained(tmp_path, text):
    options = [*SMALL, "--lr", "1e39", "--optimizer", "sgd", "--clip-norm", "0", "--checkpoint-every", "1"]
    result = minirnn("train", "--text", text, "--out", tmp_path / "r", *options)
    refused(result, "training diverged at step", "Try a lower --lr", "last checkpoint before that is kept in")
    stored = checkpoint.load(tmp_path / "r" / "last.safetensors")
    assert all(np.isfinite(array).all() for array in stored["model"].values())


def test_too_large_a_model_is_a_message(tmp_path, text, monkeypatch):
    from minirnn.language import training

    def too_large(*_args):
        raise MemoryError("Unable to allocate 1. TiB")

    monkeypatch.setattr(training, "build_model", too_large)
    refused(
        minirnn("train", "--text", text, "--out", tmp_path / "r", *SMALL),
        "not enough memory: Unable to allocate 1. TiB",
    )
