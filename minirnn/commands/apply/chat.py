"""`minirnn chat`: talk to the chatbot, and see the reasons for its replies.

On a terminal there is a prompt with line editing and a history. Otherwise each line of standard input gets exactly one
line in reply. Lines that begin with a slash are commands; without a terminal, a command whose output has several lines
prints a note instead.
"""

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

from minirnn import checkpoint, kernels, plots
from minirnn.chatbot.bot import CONVERSATION_KIND, LONGEST_TURN, Answer, Chatbot, Conversation
from minirnn.chatbot.conversations import read
from minirnn.commands.apply import chat_views
from minirnn.commands.output import say, write
from minirnn.language import data_folder

__all__ = ["Session", "chat"]

INPUT_PROMPT = "you> "
HISTORY, HISTORY_LINES = "chat-history", 1000
TOPICS = "name, home town, job, favourite food and colour, age, pets and relatives; timers, alarms and reminders"
HELP = (
    ("/why", "show where the words of the last reply came from"),
    ("/state", "show the bot's state, and how the last turn changed it"),
    ("/save FILE", "save the conversation in a file"),
    ("/load FILE", "continue the conversation in a file"),
    ("/reset", "forget the conversation"),
    ("/quit", "quit; Ctrl-D does the same"),
)


def chat(model: Path | None, figure: Path | None, console: Console) -> None:
    """Talk until the end of the input, then draw `figure` unless it is None."""
    if figure is not None:
        plots.check(figure)
    session = Session(Chatbot.load(model))
    # The NumPy kernels are fast enough for one word at a time, and need no compilation.
    with contextlib.nullcontext() if os.environ.get("MINIRNN_KERNELS") else kernels("numpy"):
        if sys.stdin is not None and sys.stdin.isatty():
            _talk(session, console)
        elif sys.stdin is not None:
            _answer_lines(session, sys.stdin.buffer)
        if figure is not None:
            plots.save(chat_views.figure(session.bot, session.turns), figure)


@dataclass
class Session:
    """A bot in a conversation, and the values that the commands need."""

    bot: Chatbot
    answer: Answer | None = None  # to the last turn
    before: Conversation | None = None  # the state before the last turn
    turns: tuple[chat_views.Exchange, ...] = ()  # the last turns, for a figure
    over: bool = False

    def respond(self, line: str) -> RenderableType:
        """Return the output for a line of input: a string of one line, or a renderable for a terminal."""
        line = line.strip()
        shown = self.command(*line.split(maxsplit=1)) if line.startswith("/") else self.reply(line)
        return _printable(shown) if isinstance(shown, str) else shown

    def reply(self, line: str) -> str:
        """Return the bot's reply, and add the line and the reply to the conversation."""
        before = self.bot.conversation
        answer = self.bot.answer(line, before)
        if answer.words:  # there are none for an empty line
            self.answer, self.before, self.bot.conversation = answer, before, answer.conversation
            heard = tuple(read(line)[0][:LONGEST_TURN])
            number = self.turns[-1].number + 1 if self.turns else 1
            turn = chat_views.Exchange(number, before.state, heard, answer.words, answer.weights, answer.said)
            self.turns = chat_views.last((*self.turns, turn))
        return answer.text

    def command(self, name: str, argument: str = "") -> RenderableType:
        """Run a command. An error with a file becomes a message, and the conversation continues."""
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
        except ValueError as error:  # about the checkpoint, the conversation or the name of the file
            return f"{name}: {error}"
        return f"There is no command {name}; /help lists them."

    def _save(self, file: str) -> str:
        try:
            if os.path.exists(file):
                _stored_conversation(file)
        except checkpoint.CheckpointError:
            raise ValueError(f"{file} exists and is not a conversation; it is left unchanged") from None
        checkpoint.save(file, self.bot.conversation.state_dict())
        return f"The conversation is saved in {file}."

    def _load(self, file: str) -> str:
        stored = _stored_conversation(file)
        try:
            self._begin(self.bot.restore(stored))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        return f"The conversation in {file} continues."

    def _begin(self, conversation: Conversation) -> None:
        self.bot.conversation = conversation
        self.answer = self.before = None
        self.turns = ()


def _stored_conversation(file: str) -> dict[str, Any]:
    """Return the contents of a file that /save wrote. Raises CheckpointError for any other file."""
    stored = checkpoint.load(file)
    if not isinstance(stored, dict) or stored.get("kind") != CONVERSATION_KIND:
        raise checkpoint.CheckpointError(f"{file}: a checkpoint, but not of a conversation")
    return stored


def _printable(text: str) -> str:
    """Return the text as one line without control characters, for text from files and file names."""
    return "".join(c if c.isprintable() else " " for c in text)


def _help() -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    for line in HELP:
        table.add_row(*line)
    return Group(Text(f"Tell me about you and ask me about it later: {TOPICS}."), table)


# ---- without a terminal


def _answer_lines(session: Session, lines: Iterable[bytes]) -> None:
    for line in lines:
        shown = session.respond(line.decode("utf-8", "replace"))
        write((shown if isinstance(shown, str) else "The output of this command needs a terminal.") + "\n")
        if session.over:
            return


# ---- on a terminal


def _talk(session: Session, console: Console) -> None:
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    model = session.bot.model
    kind = f"{str(model.settings['cell']).upper()} of {model.hidden} units{' with attention' if model.attends else ''}"
    say(console, f"A chatbot ({kind}) that remembers what you say. /help lists the commands, Ctrl-D quits.")
    with _history():
        interrupted = False
        while not session.over:
            try:
                shown = session.respond(input(INPUT_PROMPT))
                console.print(Text(shown, style="bold") if isinstance(shown, str) else shown)
                interrupted = False
            except EOFError:
                console.print()
                return
            except KeyboardInterrupt:
                console.print()
                if interrupted:
                    return
                interrupted = True
                say(console, "Press Ctrl-C once more to quit.")


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Enable line editing with a history in a file, if readline and the file are available."""
    harmless = contextlib.suppress(ImportError, OSError, RuntimeError)  # RuntimeError: there is no home folder
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
