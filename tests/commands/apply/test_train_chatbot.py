"""`minirnn train-chatbot` and `chatbot-score`: the file of the bot with its card, Ctrl-C, and error messages."""

import functools
import signal

import pytest
from typer.testing import CliRunner

from minirnn import cli
from minirnn.chatbot import training
from minirnn.chatbot.bot import Chatbot
from minirnn.commands.apply import train_chatbot


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Use only a few conversations for training and for scoring."""
    config = functools.partial(training.ChatbotConfig, conversations=8, batch=4, embedding=8)
    monkeypatch.setattr(training, "ChatbotConfig", config)
    monkeypatch.setattr(train_chatbot, "SCORED", 3)


def minirnn(*arguments):
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_trained_bot_is_written_with_its_card(tmp_path):
    file = tmp_path / "bot.safetensors"
    result = minirnn("train-chatbot", "--steps", 6, "--hidden", 8, "--cell", "gru", "--seed", 3, "--out", file)
    assert result.exit_code == 0, result.output
    assert "step 6/6" in result.output
    assert "3 held-out conversations" in result.output
    bot = Chatbot.load(file)
    assert bot.card["command"] == "minirnn train-chatbot --cell gru --hidden 8 --steps 6 --seed 3"
    assert bot.card["steps"] == 6
    assert set(bot.card["scores"]) == {"test", "training", "conversations", "by act"}
    assert isinstance(bot.reply("hello"), str)
    scored = minirnn("chatbot-score", "--model", file, "--conversations", 3)
    assert scored.exit_code == 0
    assert scored.output.split("turns since")[1].splitlines()[0] in result.output


@pytest.mark.parametrize(("option", "kind"), [("--no-attention", "none"), ("--additive", "additive")])
def test_attention_can_be_chosen(tmp_path, option, kind):
    file = tmp_path / "bot.safetensors"
    assert minirnn("train-chatbot", "--steps", 2, "--hidden", 8, option, "--out", file).exit_code == 0
    assert Chatbot.load(file).model.settings["attention"] == kind
    assert Chatbot.load(file).card["command"].endswith(option)


def test_ctrl_c_writes_what_was_learned_by_then(tmp_path, monkeypatch):
    real = train_chatbot.train

    def interrupted(config, told, preparing):
        def heard(step, loss):
            if step == 3:
                signal.raise_signal(signal.SIGINT)
            told(step, loss)

        return real(config, heard, preparing)

    monkeypatch.setattr(train_chatbot, "train", interrupted)
    file = tmp_path / "bot.safetensors"
    result = minirnn("train-chatbot", "--steps", 9, "--hidden", 8, "--out", file)
    assert result.exit_code == 130
    assert "stopped after step 3, not scored" in result.output
    assert Chatbot.load(file).card["steps"] == 3
    assert "scores" not in Chatbot.load(file).card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hidden", "1"], "hidden must be at least 2, got 1"),
        (["--steps", "0"], "steps must be from 1 to 1,000,000, got 0"),
        (["--no-attention", "--additive"], "--additive and --no-attention cannot be used together"),
        (["--out", "no/such/folder/bot.safetensors"], "there is no folder"),
        (["--out", "."], "it is a folder"),
    ],
)
def test_mistakes_are_one_message_before_anything_is_done(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = minirnn("train-chatbot", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_or_foreign_file_is_one_message(tmp_path):
    result = minirnn("chatbot-score", "--model", tmp_path / "none")
    assert result.exit_code == 2
    assert "cannot read the checkpoint" in result.stderr
