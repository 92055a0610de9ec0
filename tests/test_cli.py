"""The command line: options reach the run, mistakes end in one message and exit code 2, and help is quick."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from minirnn import checkpoint, cli
from minirnn.commands.check import selfcheck
from minirnn.language.training import TrainConfig
from tests.doubles import fake_cupy

SMALL = ["--hidden", "5", "--embedding", "3", "--batch", "2", "--seq", "4", "--steps", "6"]
TEXT = "the cat sat on the mat. " * 20


def minirnn(*arguments):
    """Run a command in this process; no exception but SystemExit may come out of it."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "cats.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory, text):
    """A finished run; not to be written into."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert minirnn("train", "--text", text, "--out", folder, *SMALL).exit_code == 0
    return folder


def refused(result, *words):
    """Exit code 2, the message on stderr in one piece, nothing else there."""
    assert result.exit_code == 2, result.output
    message = " ".join(result.stderr.replace("│", " ").split())
    for word in words:
        assert word in message, message
    return message


# ---- train


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
    refused(result, "--device gpu: the numpy kernels can't take arrays of cupy float64")
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
    refused(minirnn("train", "--resume", finished, "--out", "x"), "--out can't go with --resume")
    refused(minirnn("train", "--resume", finished, "--minutes", 1), "--minutes can't go with --resume")
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


# ---- bad input to train


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
        (["--steps", "5", "--minutes", "1"], ["--minutes and --steps exclude each other"]),
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


# ---- sample


def test_sampling_streams_the_prompt_and_the_rest(finished):
    result = minirnn("sample", finished, "--prompt", "the cat", "--length", 30, "--seed", 1)
    assert result.exit_code == 0
    assert result.stdout.startswith("the cat")
    assert len(result.stdout) == len("the cat") + 30 + 1
    assert set(result.stdout) <= set(TEXT + "\n")


def test_equal_seeds_give_equal_text_and_a_drawn_seed_is_shown(finished):
    fixed = [minirnn("sample", finished, "--length", 40, "--seed", 5).stdout for _ in range(2)]
    assert fixed[0] == fixed[1]
    drawn = minirnn("sample", finished, "--length", 40)
    seed = re.fullmatch(r"seed (\d+)\n", drawn.stderr).group(1)
    assert minirnn("sample", finished, "--length", 40, "--seed", seed).stdout == drawn.stdout


def test_sampling_settings_are_used(finished):
    greedy = minirnn("sample", finished, "--temperature", 0, "--length", 20, "--seed", 1).stdout
    for options in (["--top-k", 1], ["--top-p", 1e-9], ["--temperature", 1e-9]):
        assert minirnn("sample", finished, *options, "--length", 20, "--seed", 2).stdout == greedy


def test_a_checkpoint_file_can_be_named(finished):
    result = minirnn("sample", finished / "last.safetensors", "--length", 3)
    assert result.exit_code == 0


def test_a_beam_is_searched_and_a_narrow_one_is_greedy(finished):
    greedy = minirnn("sample", finished, "--temperature", 0, "--length", 20, "--seed", 1).stdout
    narrow = minirnn("sample", finished, "--beam", 1, "--length", 20)
    assert (narrow.stdout, narrow.stderr) == (greedy, "")
    wide = minirnn("sample", finished, "--beam", 4, "--length", 20, "--prompt", "the")
    assert wide.stdout.startswith("the")
    assert len(wide.stdout) == 3 + 20 + 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--temperature", "0.5"], ["--beam draws nothing, so --temperature can't go with it"]),
        (["--top-k", "3"], ["so --top-k can't"]),
        (["--top-p", "0.9"], ["so --top-p can't"]),
        (["--length", "-1"], ["length must be at least 0", "got -1 and 4"]),
        (["--prompt", "Z"], ["never saw in training: 'Z'"]),
    ],
)
def test_bad_searches_are_named(finished, options, words):
    result = minirnn("sample", finished, "--beam", "4", *options)
    refused(result, *words)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prompt", "the Zebra"], ["the prompt has what the model never saw in training: 'Z', 'b', 'r'"]),
        (["--temperature", "-1"], ["temperature must be"]),
        (["--top-k", "0"], ["top-k must be"]),
        (["--top-p", "2"], ["top-p must be"]),
        (["--length", "-1"], ["length and seed must be at least 0"]),
        (["--seed", "-1"], ["length and seed must be at least 0"]),
        (["--beam", "4"], ["--beam draws nothing, so --seed can't go with it"]),
    ],
)
def test_bad_sampling_is_named(finished, options, words):
    result = minirnn("sample", finished, "--seed", "1", *options)
    refused(result, *words)
    assert result.stdout == ""


def test_bad_checkpoints_are_named(tmp_path, finished):
    refused(minirnn("sample", tmp_path / "absent"), "there is no such run")
    refused(minirnn("sample", tmp_path), "holds no checkpoint")
    good = (finished / "best.safetensors").read_bytes()
    broken = tmp_path / "best.safetensors"
    broken.write_bytes(good[:-10])
    refused(minirnn("sample", tmp_path), str(broken), "truncated")
    refused(minirnn("train", "--resume", tmp_path), str(broken), "truncated")
    broken.write_bytes(b"#!/bin/sh\n")
    refused(minirnn("sample", tmp_path), "not a checkpoint")
    broken.write_bytes(good.replace(b'{\\"version\\": 1', b'{\\"version\\": 7', 1))
    refused(minirnn("sample", tmp_path), "format version 7")
    checkpoint.save(broken, {"step": 1})
    refused(minirnn("sample", tmp_path), "lacks 'tokenizer'")


def test_ctrl_c_in_a_sample_is_no_traceback(finished, monkeypatch):
    from minirnn.commands.train import sample

    def interrupted(_text):
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "write", interrupted)
    result = minirnn("sample", finished, "--seed", 1)
    assert result.exit_code == 130
    assert result.stderr == "minirnn sample: interrupted\n"


# ---- the others


def test_check_prints_the_table_and_fails_on_a_wrong_gradient(monkeypatch):
    result = minirnn("check")
    assert result.exit_code == 0
    assert "24 of 24 verdicts are PASS" in result.stdout
    for word in ("RNN tanh", "RNN relu", "LSTM", "GRU", "float32", "float64", *selfcheck.JUDGES):
        assert word in result.stdout

    gru = selfcheck.CELLS[-1]
    wrong = dataclasses.replace(gru, backward=lambda *args: tuple(-g for g in gru.backward(*args)))
    monkeypatch.setattr(selfcheck, "CELLS", (wrong,))
    result = minirnn("check")
    assert result.exit_code == 1
    assert "0 of 6 verdicts are PASS" in result.stdout
    assert "GRU, float32, finite differences:" in result.stdout


def test_doctor_prints_what_it_found():
    result = minirnn("doctor")
    assert result.exit_code == 0
    assert np.__version__ in result.stdout
    assert "kernels: numpy" in result.stdout


def test_demo_shows_all_its_parts(tmp_path, text, monkeypatch):
    from minirnn.commands.learn import demo
    from minirnn.course.experiments import vanishing
    from minirnn.language import load_corpus

    monkeypatch.setitem(vanishing.EFFORTS, "quick", (1, 2, 125))
    for name, value in (("HIDDEN", 8), ("RADII", (1.0,)), ("FORGET_BIASES", (0.0,))):
        monkeypatch.setattr(vanishing, name, value)
    monkeypatch.setattr(demo, "load_corpus", lambda _name: load_corpus(text))
    small = {"hidden": 5, "embedding": 3, "batch": 2, "seq": 4}
    monkeypatch.setattr(demo, "TrainConfig", lambda **asked: TrainConfig(**asked | small))
    monkeypatch.setattr(demo, "PROMPT", "the ")
    result = minirnn("demo", "--seconds", 0.2, "--out", tmp_path / "r")
    assert result.exit_code == 0, result.output
    places = [
        result.stdout.find(w)
        for w in ("BLAS", "24 of 24", "reaches", "before training", "bigram model", "after step", "> My name is")
    ]
    assert -1 not in places
    assert places == sorted(places)
    assert (tmp_path / "r" / "best.safetensors").exists()
    turns = result.stdout.split("> My name is ")[1].splitlines()
    assert turns[1].startswith("Nice to meet you, ")
    assert [line for line in turns if line.startswith(("the timer: ", "the name: "))] == turns[-2:]


@pytest.mark.parametrize("command", [[], ["train"], ["sample"], ["check"], ["doctor"], ["demo"]])
def test_help_is_there(command):
    result = minirnn(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_an_unknown_command_is_named():
    refused(minirnn("trian"), "trian")


def run_process(*arguments, **options):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "error"}
    return subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, check=False, **options)


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom minirnn import cli\n"
        "try:\n    cli.app(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'numba', 'cupy', 'matplotlib', 'torch', 'pooch', 'safetensors'} & set(sys.modules)))"
    )
    done = run_process("-c", code)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_output_that_nobody_reads_is_no_error(finished):
    command = f"{sys.executable} -m minirnn.cli sample {finished} --length 100000 --seed 1 | head -c 5"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=False)
    assert len(done.stdout) == 5
    assert done.stderr == ""


def test_the_module_runs_as_a_command(tmp_path):
    done = run_process("-m", "minirnn.cli", "sample", str(tmp_path / "absent"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"minirnn sample: {tmp_path / 'absent'}: there is no such run or checkpoint"
    assert Path(cli.__file__).name == "cli.py"


def test_unknown_kernels_in_the_environment_are_one_message(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIRNN_KERNELS", "fortran")
    result = CliRunner().invoke(cli.app, ["train", "--steps", "1", "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "MINIRNN_KERNELS: kernels 'fortran' are not known" in result.stderr
    assert not (tmp_path / "run").exists()
