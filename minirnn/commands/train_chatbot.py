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

from minirnn.chatbot_training import ChatbotConfig, Scores, conversations, score, train
from minirnn.commands.train import say
from minirnn.doctor import cpu_model
from minirnn.models.chatbot import Chatbot
from minirnn.training import ConfigError, Diverged, ctrl_c

__all__ = ["evaluate", "run"]

SCORED = 500  # conversations of the test
PLAIN_STEPS = 500  # between lines where there is no terminal


def run(config: ChatbotConfig, out: Path, console: Console) -> bool:
    """Train, score, and write the bot to `out`. False if Ctrl-C ended it early; what was learned by then is written."""
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.absolute().parent}")
    began = time.perf_counter()
    with ctrl_c() as stopped, _telling(console, config) as (told, preparing):

        def heard(step: int, loss: float) -> None:
            told(step, loss)
            if stopped():
                raise StopIteration

        try:
            bot = train(config, heard, preparing)
        except FloatingPointError as error:
            raise Diverged(str(error)) from None
    seconds = time.perf_counter() - began
    bot.card |= {
        "command": _command(config),
        "seconds": round(seconds),
        "date": datetime.date.today().isoformat(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
    }
    done = bot.card["steps"] == config.steps
    if done:
        bot.card["scores"] = evaluate(bot, console, SCORED)
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
    """Hold `count` conversations of the test with unseen values and as many with seen ones; print and return scores.

    Phrasings are those of the test in both; ordinary words are all known.
    """
    found = {
        "unseen": score(bot, conversations("test", count)),
        "seen": score(bot, conversations("test", count, values="train")),
    }
    table = Table(title=f"{count} test conversations of 5 to 10 turns, phrasings unseen", title_justify="left")
    for word in ("values", "questions for a told value", "right value", "replies", "exactly right"):
        table.add_column(word, justify="left" if word == "values" else "right")
    for name, scores in found.items():
        table.add_row(
            name, f"{scores.recalls}", f"{scores.recall_share:.2%}", f"{scores.replies}", f"{scores.exact_share:.2%}"
        )
    console.print(table)
    say(
        console, "right value by the number of turns since it was said, unseen values: " + _by_distance(found["unseen"])
    )
    return {name: _numbers(scores) for name, scores in found.items()} | {"conversations": count}


def _by_distance(scores: Scores) -> str:
    return ", ".join(f"{d}: {right}/{asked}" for d, (asked, right) in sorted(scores.by_distance.items()))


def _numbers(scores: Scores) -> dict[str, Any]:
    return {
        "replies": scores.replies,
        "exactly right": round(scores.exact_share, 4),
        "questions for a told value": scores.recalls,
        "right value": round(scores.recall_share, 4),
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
