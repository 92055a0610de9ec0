"""`minirnn chat`: talk to the chatbot, and see why it says what it says.

On a terminal: a prompt with line editing and a history. Otherwise each line of standard input is answered by exactly
one line, and nothing else is printed. Both know the same commands, lines that begin with a slash; those that show more
than a line say so where there is no terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

import minirnn
from minirnn import checkpoint, plots
from minirnn.chatbot.bot import LONGEST_TURN, Answer, Chatbot, Conversation
from minirnn.chatbot.conversations import read
from minirnn.checkpoint import CheckpointError
from minirnn.commands.apply import chat_views
from minirnn.commands.train.sample import write
from minirnn.commands.train.train import say
from minirnn.language import data_folder

__all__ = ["Session", "chat"]

PROMPT = "you> "
HISTORY, HISTORY_LINES = "chat-history", 1000
TOPICS = "name, home town, job, favourite food and colour, age, pets and relatives; timers, alarms and reminders"
HELP = (
    ("/why", "what the words of the last reply were made from"),
    ("/state", "what the bot's state is, and what the last turn changed in it"),
    ("/save FILE", "keep the conversation in a file"),
    ("/load FILE", "go on with the conversation in a file"),
    ("/reset", "forget the conversation"),
    ("/quit", "leave; Ctrl-D does too"),
)


def chat(model: Path | None, figure: Path | None, console: Console) -> None:
    """Talk until the end of the input; then draw `figure`, if it is asked for."""
    if figure is not None:
        plots.check(figure)
    session = Session(Chatbot.load(model))
    with _kernels():
        if sys.stdin is not None and sys.stdin.isatty():
            _talk(session, console)
        elif sys.stdin is not None:
            _answer_lines(session, sys.stdin.buffer)
        if figure is not None:
            plots.save(chat_views.figure(session.bot, session.turns), figure)


@dataclass
class Session:
    """A bot in a conversation, and what the commands need to know of it."""

    bot: Chatbot
    answer: Answer | None = None  # the last one
    before: Conversation | None = None  # as it was before the last turn
    turns: tuple[chat_views.Turn, ...] = ()  # the last ones, for a figure
    over: bool = False

    def respond(self, line: str) -> RenderableType:
        """What is shown for a line: a str that is one line, or something for a terminal."""
        line = line.strip()
        shown = self.command(*line.split(maxsplit=1)) if line.startswith("/") else self.reply(line)
        return _printable(shown) if isinstance(shown, str) else shown

    def reply(self, line: str) -> str:
        """The bot's answer; it remembers both."""
        before = self.bot.conversation
        answer = self.bot.answer(line, before)
        if answer.words:  # not so for an empty line
            self.answer, self.before, self.bot.conversation = answer, before, answer.conversation
            heard = tuple(read(line)[0][:LONGEST_TURN])
            number = self.turns[-1].number + 1 if self.turns else 1
            turn = chat_views.Turn(number, before.state, heard, answer.words, answer.weights, answer.said)
            self.turns = chat_views.last((*self.turns, turn))
        return answer.text

    def command(self, name: str, argument: str = "") -> RenderableType:
        """What a line with a slash does. Whatever is wrong with a file, the conversation goes on."""
        file = os.path.expanduser(argument)
        try:
            match name:
                case "/help":
                    return _help()
                case "/why":
                    return "There is no reply to explain yet." if self.answer is None else chat_views.why(self.answer)
                case "/state":
                    return chat_views.state(self.bot.conversation, self.before, sys.stdout.encoding or "ascii")
                case "/save" | "/load" if not file:
                    return f"{name} needs the name of a file."
                case "/save":
                    return self._save(file)
                case "/load":
                    return self._load(file)
                case "/reset":
                    self._begin(self.bot.beginning())
                    return "The conversation is forgotten."
                case "/quit":
                    self.over = True
                    return "Goodbye."
        except ValueError as error:  # of the checkpoint, the conversation or the file's name
            return f"{name}: {error}"
        return f"There is no command {name}; /help lists them."

    def _save(self, file: str) -> str:
        try:
            if os.path.exists(file):
                _stored_conversation(file)
        except CheckpointError:
            raise ValueError(f"{file} is there already, and no conversation; it stays as it is") from None
        checkpoint.save(file, self.bot.conversation.state_dict())
        return f"The conversation is in {file}."

    def _load(self, file: str) -> str:
        try:
            conversation = self.bot.restore(_stored_conversation(file))
        except CheckpointError:
            raise
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        self._begin(conversation)
        return f"The conversation in {file} goes on."

    def _begin(self, conversation: Conversation) -> None:
        self.bot.conversation = conversation
        self.answer = self.before = None
        self.turns = ()


def _stored_conversation(file: str) -> dict[str, Any]:
    """What is in a file that /save wrote. CheckpointError for any other file."""
    stored = checkpoint.load(file)
    if not isinstance(stored, dict) or stored.get("kind") != "minirnn conversation":
        raise CheckpointError(f"{file}: a checkpoint, but not of a conversation")
    return stored


def _printable(text: str) -> str:
    """One line without control characters, whatever a file or its name had in it."""
    return "".join(c if c.isprintable() else " " for c in text)


def _help() -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    for line in HELP:
        table.add_row(*line)
    return Group(Text(f"Tell me about you and ask me about it later: {TOPICS}."), table)


def _kernels() -> contextlib.AbstractContextManager[None]:
    """NumPy's: a word at a time they are quick enough, and they need not be compiled first."""
    return contextlib.nullcontext() if os.environ.get("MINIRNN_KERNELS") else minirnn.kernels("numpy")


# ---- without a terminal


def _answer_lines(session: Session, lines: Iterable[bytes]) -> None:
    for line in lines:
        shown = session.respond(line.decode("utf-8", "replace"))
        write((shown if isinstance(shown, str) else "This is shown on a terminal only.") + "\n")
        if session.over:
            return


# ---- on a terminal


def _talk(session: Session, console: Console) -> None:
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    model = session.bot.model
    kind = f"{str(model.settings['cell']).upper()} of {model.hidden} units{' with attention' if model.attends else ''}"
    say(console, f"A chatbot ({kind}) that remembers what you say. /help lists the commands, Ctrl-D leaves.")
    with _history():
        interrupted = False
        while not session.over:
            try:
                _show(console, session.respond(input(PROMPT)))
                interrupted = False
            except EOFError:
                console.print()
                return
            except KeyboardInterrupt:
                console.print()
                if interrupted:
                    return
                interrupted = True
                say(console, "Ctrl-C once more leaves.")


def _show(console: Console, shown: RenderableType) -> None:
    if isinstance(shown, str):
        console.print(shown, markup=False, highlight=False, style="bold")
    else:
        console.print(shown)


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Line editing and the lines of earlier times, where Python has readline and the file can be read and written."""
    harmless = contextlib.suppress(ImportError, OSError, RuntimeError)  # the last: there is no home
    with harmless:
        import readline

        readline.read_history_file(data_folder() / HISTORY)
    try:
        yield
    finally:
        with harmless:
            import readline

            readline.set_history_length(HISTORY_LINES)
            data_folder().mkdir(parents=True, exist_ok=True)
            readline.write_history_file(data_folder() / HISTORY)
