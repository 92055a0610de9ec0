"""`minirnn train-chatbot`: train the chatbot, score it on conversations it never saw, and write it with its card."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from minirnn.chatbot.bot import Chatbot
from minirnn.chatbot.training import ChatbotConfig, Scores, conversations, score, share, train
from minirnn.commands.train.train import say
from minirnn.language.training import ConfigError, ctrl_c
from minirnn.machine import cpu_model

__all__ = ["evaluate", "run"]

SCORED = 500  # conversations of the test
PLAIN_STEPS = 500  # between lines where there is no terminal


def run(config: ChatbotConfig, out: Path, console: Console) -> bool:
    """Train, score, and write the bot to `out`. False if Ctrl-C ended it early; what was learned by then is written."""
    folder = out.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {folder}")
    if out.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {out}: {'it is a folder' if out.is_dir() else f'{folder} is not writable'}")
    began = time.perf_counter()
    with ctrl_c() as stopped, _telling(console, config) as (told, preparing):

        def heard(step: int, loss: float) -> None:
            told(step, loss)
            if stopped():
                raise StopIteration

        def prepared(done: int) -> None:
            preparing(done)
            if stopped():
                raise StopIteration

        bot = train(config, heard, prepared)
    seconds = time.perf_counter() - began
    bot.card |= {
        "command": _command(config),
        "seconds": round(seconds),
        "date": datetime.date.today().isoformat(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
    }
    bot.save(out)
    done = bot.card["steps"] == config.steps
    if done:
        bot.card["scores"] = evaluate(bot, console, SCORED)
        bot.card["seconds with scoring"] = round(time.perf_counter() - began)
        bot.save(out)
    size = out.stat().st_size / 1e6
    early = "" if done else f"stopped at step {bot.card['steps']}, not scored; "
    say(console, f"{early}written: {out} ({size:.1f} MB, {seconds / 60:.1f} min)")
    return done


def _command(config: ChatbotConfig) -> str:
    """The command that trains this again, with what isn't its default."""
    usual = ChatbotConfig()
    words = ["minirnn train-chatbot"]
    words += [f"--{name} {getattr(config, name)}" for name in ("cell", "hidden", "steps", "seed")
              if getattr(config, name) != getattr(usual, name)]  # fmt: skip
    words += {"none": ["--no-attention"], "additive": ["--additive"]}.get(config.attention, [])
    return " ".join(words)


def evaluate(bot: Chatbot, console: Console, count: int = SCORED) -> dict[str, Any]:
    """Hold `count` conversations of the test with its values, and as many with values of training; print their scores.

    Phrasings are those of the test in both; ordinary words are all known.
    """
    found = {
        "test": score(bot, conversations("test", count)),
        "training": score(bot, conversations("test", count, values="train")),
    }
    table = Table(title=f"{count} test conversations of 5 to 10 turns, phrasings unseen", title_justify="left")
    for word in ("values of", *_numbers(found["test"])):
        table.add_column(word, justify="left" if word == "values of" else "right")
    for name, scores in found.items():
        table.add_row(name, *map(shown, _numbers(scores).values()))
    console.print(table)
    say(console, "right by the number of turns since it was said, values of the test: " + _by_distance(found["test"]))
    acts = {act: f"{right}/{asked}" for act, (asked, right) in sorted(found["test"].by_act.items())}
    say(console, "exactly right by act, values of the test: " + ", ".join(f"{act} {n}" for act, n in acts.items()))
    return {name: _numbers(scores) for name, scores in found.items()} | {"conversations": count, "by act": acts}


def shown(number: Any) -> str:
    """A count as it is, a share in percent."""
    return f"{number:.2%}" if isinstance(number, float) else f"{number:,}" if isinstance(number, int) else str(number)


def _by_distance(scores: Scores) -> str:
    return ", ".join(f"{d}: {right}/{asked}" for d, (asked, right) in sorted(scores.by_distance.items()))


def _numbers(scores: Scores) -> dict[str, Any]:
    return {
        "replies": scores.replies,
        "exactly right": round(scores.exact_share, 4),
        "questions for a told value": scores.recalls,
        "right value": round(scores.recall_share, 4),
        "of unknown words": round(share(scores.unknown[1], scores.unknown[0]), 4) if scores.unknown[0] else "-",
        "of known words": round(share(scores.known[1], scores.known[0]), 4) if scores.known[0] else "-",
    }


@contextlib.contextmanager
def _telling(console: Console, config: ChatbotConfig) -> Iterator[Any]:
    """What `train` tells, as two bars on a terminal, or as a line now and then."""
    mean = 0.0

    def smoothed(step: int, loss: float) -> float:
        nonlocal mean
        mean += (loss - mean) * max(1 / step, 0.02)
        return mean

    if not console.is_terminal:

        def line(step: int, loss: float) -> None:
            now = smoothed(step, loss)
            if step % PLAIN_STEPS == 0 or step == config.steps:
                say(console, f"step {step}/{config.steps}  loss {now:.4f} nats per word")

        yield line, lambda done: None
        return
    text, count = TextColumn("{task.description}"), MofNCompleteColumn()
    with Progress(
        text, BarColumn(24), count, TimeElapsedColumn(), TimeRemainingColumn(), console=console, refresh_per_second=5
    ) as bar:
        making = bar.add_task("conversations", total=config.conversations)
        training = bar.add_task("training", total=config.steps)

        def moved(step: int, loss: float) -> None:
            bar.update(training, completed=step, description=f"training, loss {smoothed(step, loss):.4f}")

        yield moved, lambda done: bar.update(making, completed=done)
