"""`minirnn sample`: text is streamed, seeds and settings are used, and a user error gives one message."""

import os
import re
import subprocess
import sys

import pytest

from minirnn import checkpoint
from tests.commands.command_line import TEXT, minirnn, refused


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
        (["--temperature", "0.5"], ["--temperature can't be used with --beam, which samples nothing"]),
        (["--top-k", "3"], ["--top-k can't be used with --beam"]),
        (["--top-p", "0.9"], ["--top-p can't be used with --beam"]),
        (["--length", "-1"], ["length must be at least 0", "got -1 and 4"]),
        (["--prompt", "Z"], ["prompt: the model's vocabulary does not contain 'Z'"]),
    ],
)
def test_bad_searches_are_named(finished, options, words):
    result = minirnn("sample", finished, "--beam", "4", *options)
    refused(result, *words)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prompt", "the Zebra"], ["prompt: the model's vocabulary does not contain 'Z', 'b', 'r'"]),
        (["--temperature", "-1"], ["temperature must be"]),
        (["--top-k", "0"], ["top-k must be"]),
        (["--top-p", "2"], ["top-p must be"]),
        (["--length", "-1"], ["length and seed must be at least 0"]),
        (["--seed", "-1"], ["length and seed must be at least 0"]),
        (["--beam", "4"], ["--seed can't be used with --beam"]),
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


def test_output_that_nobody_reads_is_no_error(finished):
    command = f"{sys.executable} -m minirnn.cli sample {finished} --length 100000 --seed 1 | head -c 5"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=False)
    assert len(done.stdout) == 5
    assert done.stderr == ""
