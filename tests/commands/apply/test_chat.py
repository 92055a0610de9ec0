"""Talking to the chatbot: one line per line through a pipe, line editing on a terminal, and no crash for any input."""

import os
import re
import select
import subprocess
import sys
import time
import types

import pytest
from typer.testing import CliRunner

import minirnn
from minirnn import checkpoint, cli
from minirnn.chatbot import bot as chatbot
from minirnn.chatbot.bot import Chatbot
from minirnn.chatbot.conversations import Vocabulary
from minirnn.chatbot.model import ConversationModel
from minirnn.commands.apply.chat import Session

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def untrained(hidden=6, attention="dot"):
    minirnn.manual_seed(1)
    vocabulary = Vocabulary(["my", "name", "is", "hello", "."])
    return Chatbot(ConversationModel(len(vocabulary), hidden=hidden, attention=attention, embedding=5), vocabulary)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The file of an untrained bot. Tests must not write into it."""
    path = tmp_path_factory.mktemp("bot") / "bot.safetensors"
    untrained().save(path)
    return path


@pytest.fixture(autouse=True)
def short_replies(monkeypatch):
    """Without a limit, the replies of an untrained bot are long."""
    monkeypatch.setattr(chatbot, "LONGEST_REPLY", 5)


def chat(model, lines, *options):
    """Run the command with these lines (str or bytes) as input. It must not raise an exception."""
    text = b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)
    arguments = ["chat", "--model", str(model), *map(str, options)]
    result = CliRunner().invoke(cli.app, arguments, input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def replies(model, lines, *options):
    result = chat(model, lines, *options)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout.endswith("\n") or not lines
    return result.stdout.split("\n")[:-1]


def refused(result, *words):
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("minirnn chat: ")
    for word in words:
        assert word in result.stderr


# ---- through a pipe

ODD = [
    "",
    "   \t ",
    "hello " * 1666,
    "x" * 10_000,
    "a\x00b\x07\x1b[2Jc\x7f",
    "carriage\rreturn",
    b"\xff\xfe\x80 not utf-8 \xc3",
    "你好, Zyphra",
    "привет عربى हिन्दी",
    "👩‍👩‍👧 🎉",
    "line\u2028separator\u0085next\x0bline\x0cpage",
    "\ufeffhello\r",
    "<user> <bot> [bold]hello[/bold]",
    "/",
    "/nonsense at all",
    "/why",
    "/state",
    "/help",
    "/load",
    "/load \x00",
    "/save ~nobody-of-this-name/there",
]


@pytest.mark.parametrize("line", ODD, ids=range(len(ODD)))
def test_whatever_the_line_one_line_answers_it_and_the_conversation_goes_on(model, line):
    told = ["my name is Zyphra", line, "hello"]
    assert len(replies(model, told)) == 3


def test_the_replies_are_those_of_the_bot(model):
    told = ["my name is Zyphra", "hello", "", "what is my name"]
    bot = Chatbot.load(model)
    assert replies(model, told) == [bot.reply(line) for line in told]


def test_two_hundred_turns(model):
    assert len(replies(model, [f"hello number {k}" for k in range(200)])) == 200


def test_no_input_no_output(model):
    assert replies(model, []) == []


def test_quit_ends_it(model):
    assert replies(model, ["/quit", "hello"]) == ["Goodbye."]


def test_each_reply_comes_before_the_next_line(model):
    with piped(model) as process:
        for _ in range(2):
            process.stdin.write(b"hello\n")
            process.stdin.flush()
            assert process.stdout.readline().strip()
        process.stdin.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_a_reader_that_leaves_ends_it_quietly(model):
    with piped(model) as process:
        process.stdout.close()
        process.stdin.write(b"hello\n" * 50)
        process.stdin.close()
        process.wait(60)
        assert process.stderr.read() == b""


def piped(model):
    command = [sys.executable, "-m", "minirnn.cli", "chat", "--model", str(model)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=ENVIRONMENT, **pipes)


# ---- the weights


def test_weights_that_are_missing_broken_or_foreign(model, tmp_path):
    refused(chat(tmp_path / "none.safetensors", []), "none.safetensors", "No such file")
    (tmp_path / "short").write_bytes(model.read_bytes()[:-100])
    refused(chat(tmp_path / "short", []), "short", "truncated")
    (tmp_path / "text").write_text("hello")
    refused(chat(tmp_path / "text", []), "text", "not a checkpoint")
    checkpoint.save(tmp_path / "other", {"kind": "something"})
    refused(chat(tmp_path / "other", []), "other", "not of a chatbot")


def test_weights_of_another_size(model, tmp_path):
    stored = checkpoint.load(model)
    stored["settings"]["hidden"] = 7
    checkpoint.save(tmp_path / "other", stored)
    refused(chat(tmp_path / "other", ["hello"]), "other", "expected")


# ---- commands


def test_a_conversation_that_was_saved_goes_on_as_if_it_had_not_stopped(model, tmp_path):
    told, asked = ["my name is Zyphra", "hello"], ["what is my name", "hello"]
    straight = replies(model, told + asked)
    file = tmp_path / "my talk.safetensors"
    assert replies(model, [*told, f"/save {file}"]) == [*straight[:2], f"The conversation is saved in {file}."]
    loaded = replies(model, ["something else", f"/load {file}", *asked])
    assert loaded[1] == f"The conversation in {file} continues."
    assert loaded[2:] == straight[2:]
    assert (
        replies(model, ["hello", f"/save {file}"])[1] == f"The conversation is saved in {file}."
    )  # replaces the older file


def test_reset_forgets(model):
    first, _, _, again = replies(model, ["my name is Zyphra", "hello", "/reset", "my name is Zyphra"])
    assert again == first


def test_files_that_cannot_be_loaded_are_named_and_change_nothing(model, tmp_path):
    (tmp_path / "text").write_text("hello")
    checkpoint.save(tmp_path / "state", {"kind": "something"})
    checkpoint.save(tmp_path / "foreign", untrained(hidden=8).conversation.state_dict())
    damaged = untrained().conversation.state_dict() | {"words": ["too", "many"]}
    checkpoint.save(tmp_path / "damaged", damaged)
    names = {
        "none": "No such file",
        "text": "not a checkpoint",
        "state": "not of a conversation",
        "foreign": "another bot",
        "damaged": "damaged",
        ".": "Is a directory",
    }
    found = replies(model, ["my name is Zyphra", *(f"/load {tmp_path / name}" for name in names), "hello"])
    for (name, reason), line in zip(names.items(), found[1:-1], strict=True):
        assert line.startswith(f"/load: {tmp_path / name}: ")
        assert reason in line
    assert [found[0], found[-1]] == replies(model, ["my name is Zyphra", "hello"])


def test_save_writes_over_nothing_but_conversations(model, tmp_path):
    (tmp_path / "thesis").write_text("years of work")
    _, thesis, nowhere = replies(model, ["hello", f"/save {tmp_path / 'thesis'}", f"/save {tmp_path}/no/where"])
    assert "is not a conversation; it is left unchanged" in thesis
    assert (tmp_path / "thesis").read_text() == "years of work"
    assert "cannot write" in nowhere


def test_words_from_a_file_stay_on_their_line_and_off_the_terminal():
    answer = types.SimpleNamespace(words=(), text="one\ntwo\x1b[2J")
    bot = types.SimpleNamespace(conversation=None, answer=lambda line, conversation: answer)
    assert Session(bot).respond("hello") == "one two [2J"


# ---- the figure


def test_the_figure_is_written_when_the_input_ends(model, tmp_path):
    pytest.importorskip("matplotlib")
    assert len(replies(model, ["hello", "my name"], "--figure", tmp_path / "talk.svg")) == 2
    assert "<svg" in (tmp_path / "talk.svg").read_text()
    refused(chat(model, [], "--figure", tmp_path / "none.png"), "nothing was said")


def test_a_figure_that_cannot_be_written_is_refused_before_anything_is_said(model, tmp_path):
    pytest.importorskip("matplotlib")
    refused(chat(model, ["hello"], "--figure", tmp_path / "talk.pdf"), ".png or .svg")
    refused(chat(model, ["hello"], "--figure", tmp_path / "no" / "talk.png"), "no folder")


# ---- on a terminal

BEGIN = """
import fcntl, signal, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)  # the parent process may ignore it
from minirnn.cli import main
main()
"""


class Terminal:
    """The command on its own terminal."""

    def __init__(self, model, data):
        pty = pytest.importorskip("pty")
        self.end, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", BEGIN, "chat", "--model", str(model)],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=ENVIRONMENT | {"TERM": "xterm", "MINIRNN_DATA": str(data), "COLUMNS": "100"},
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        os.close(self.end)

    def type(self, keys):
        os.write(self.end, keys.encode())

    def interrupt(self, text):
        """Press Ctrl-C and return the screen up to `text`.

        Press it again if nothing happens: CPython loses a signal just before readline begins to wait.
        """
        self.type("\x03")
        if not select.select([self.end], [], [], 10)[0]:
            self.type("\x03")
        return self.until(text)

    def until(self, text, seconds=60):
        """Return the screen up to `text`, or up to the end of the program (""), without colours."""
        seen, late = b"", time.monotonic() + seconds
        while not text or text not in seen.decode("utf-8", "replace"):
            assert select.select([self.end], [], [], max(0, late - time.monotonic()))[0], f"{text!r} not in {seen!r}"
            try:
                piece = os.read(self.end, 4096)
            except OSError:  # on Linux: the program has ended
                piece = b""
            if not piece:
                assert not text, f"{text!r} not in {seen!r}"
                break
            seen += piece
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode("utf-8", "replace"))


def test_a_conversation_on_a_terminal(model, tmp_path):
    bot = Chatbot.load(model)
    with Terminal(model, tmp_path / "data") as terminal:
        assert "/help" in terminal.until("you> ")
        terminal.type("hello\n")
        assert " ".join(terminal.until("you> ").split()).startswith(f"hello {bot.reply('hello')}")
        for command, words in {
            "/help": "/quit",
            "/why": "words looked at",
            "/state": "h, 6 units",
            "/x": "no command",
        }.items():
            terminal.type(command + "\n")
            assert words in terminal.until("you> ")
        terminal.type("half a line")
        terminal.until("half a line")
        assert "Ctrl-C once more" in terminal.interrupt("you> ")
        terminal.type("\x1b[A\x1b[A\x1b[A\x1b[A\x1b[A\n")  # up to the first line
        assert " ".join(bot.reply("hello").split()[:5]) in " ".join(terminal.until("you> ").split())
        terminal.interrupt("you> ")  # not consecutive, so the program continues
        terminal.type("\x04")
        terminal.until("")
        assert terminal.process.wait(60) == 0
    assert (tmp_path / "data" / "chat-history").read_text().splitlines()[-1] == "hello"


def test_ctrl_c_twice_leaves_and_a_history_that_cannot_be_kept_does_no_harm(model, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with Terminal(model, tmp_path / "data") as terminal:
        terminal.until("you> ")
        terminal.interrupt("you> ")
        assert "Traceback" not in terminal.interrupt("")
        assert terminal.process.wait(60) == 0
