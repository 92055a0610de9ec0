"""`minirnn train-chatbot`: train the chatbot, score it on held-out conversations, and save it with its card."""

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from minirnn.chatbot.bot import Chatbot
from minirnn.chatbot.training import ChatbotConfig, Scores, make_conversations, score, share, train
from minirnn.commands.output import require_parent, require_writable, say
from minirnn.language import ConfigError, ctrl_c
from minirnn.machine import cpu_model

__all__ = ["evaluate", "run", "shown"]

SCORED = 500  # conversations for each row of the scores
PLAIN_STEPS = 500  # steps between lines without a terminal


def run(config: ChatbotConfig, out: Path, console: Console) -> bool:
    """Train, score, and save the bot to `out`. If Ctrl-C stops the training, save it unscored and return False."""
    require_parent("--out", out)
    if out.is_dir():
        raise ConfigError(f"--out {out}: it is a folder, expected the name of a file")
    require_writable(out.absolute().parent)
    began = time.perf_counter()
    with ctrl_c() as stopped, _reporting(console, config) as (told, preparing):

        def check_stopped(_shown: object) -> None:
            if stopped():
                raise StopIteration

        bot = train(
            config, lambda step, loss: check_stopped(told(step, loss)), lambda done: check_stopped(preparing(done))
        )
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
    early = "" if done else f"stopped after step {bot.card['steps']}, not scored; "
    say(console, f"{early}written: {out} ({size:.1f} MB, {seconds / 60:.1f} min)")
    return done


def _command(config: ChatbotConfig) -> str:
    """Return the command that repeats this training, with all options that differ from their defaults."""
    usual = ChatbotConfig()
    words = ["minirnn train-chatbot"]
    words += [f"--{name} {getattr(config, name)}" for name in ("cell", "hidden", "steps", "seed")
              if getattr(config, name) != getattr(usual, name)]  # fmt: skip
    words += {"none": ["--no-attention"], "additive": ["--additive"]}.get(config.attention, [])
    return " ".join(words)


def evaluate(bot: Chatbot, console: Console, count: int = SCORED) -> dict[str, Any]:
    """Score the bot on `count` conversations with values of the test, and on as many with values of training.

    Both have phrasings of the test, whose ordinary words are all known. Print the scores and return them.
    """
    found = {
        "test": score(bot, make_conversations("test", count)),
        "training": score(bot, make_conversations("test", count, values="train")),
    }
    numbers = {name: _numbers(scores) for name, scores in found.items()}
    table = Table(title=f"{count} held-out conversations of 5 to 10 turns, unseen phrasings", title_justify="left")
    table.add_column("values of")
    for word in numbers["test"]:
        table.add_column(word, justify="right")
    for name, row in numbers.items():
        table.add_row(name, *map(shown, row.values()))
    console.print(table)
    test = found["test"]
    distances = ", ".join(f"{d}: {right}/{asked}" for d, (asked, right) in sorted(test.by_distance.items()))
    acts = {act: f"{right}/{asked}" for act, (asked, right) in sorted(test.by_act.items())}
    say(console, f"right values by the number of turns since they were said, values of the test: {distances}")
    say(console, "exactly right by act, values of the test: " + ", ".join(f"{act} {n}" for act, n in acts.items()))
    return {**numbers, "conversations": count, "by act": acts}


def shown(number: Any) -> str:
    """Return a count unchanged, and a share in percent."""
    return f"{number:.2%}" if isinstance(number, float) else f"{number:,}" if isinstance(number, int) else str(number)


def _numbers(scores: Scores) -> dict[str, Any]:
    """Return one row of the table, as the card stores it."""
    return {
        "replies": scores.replies,
        "exactly right": round(scores.exact_share, 4),
        "questions for a told value": scores.recalls,
        "right value": round(scores.recall_share, 4),
        "of unknown words": round(share(scores.unknown[1], scores.unknown[0]), 4) if scores.unknown[0] else "-",
        "of known words": round(share(scores.known[1], scores.known[0]), 4) if scores.known[0] else "-",
    }


@contextlib.contextmanager
def _reporting(
    console: Console, config: ChatbotConfig
) -> Iterator[tuple[Callable[..., object], Callable[..., object]]]:
    """Yield the callbacks of `train`, for steps and for conversations: two bars on a terminal, else plain lines."""
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    terminal, mean = console.is_terminal, 0.0
    with Progress(*columns, TimeRemainingColumn(), console=console, refresh_per_second=5, disable=not terminal) as bar:
        making = bar.add_task("conversations", total=config.conversations)
        training = bar.add_task("training", total=config.steps)

        def told(step: int, loss: float) -> None:
            nonlocal mean
            mean += (loss - mean) * max(1 / step, 0.02)  # first the mean, then a moving average of about 50 steps
            bar.update(training, completed=step, description=f"training, loss {mean:.4f}")
            if not terminal and (step % PLAIN_STEPS == 0 or step == config.steps):
                say(console, f"step {step}/{config.steps}  loss {mean:.4f} nats per word")

        yield told, lambda done: bar.update(making, completed=done)
