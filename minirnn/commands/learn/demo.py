"""`minirnn demo`: in three minutes, that gradients are right, that a mistake is named, how far a gradient reaches,
that a network learns, and that another one remembers what it is told."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from rich.console import Console

from minirnn.assignments import TASKS, judge
from minirnn.assignments.catalogue.gallery import specimen
from minirnn.assignments.diagnosis.render import finding_lines
from minirnn.chatbot.bot import Chatbot
from minirnn.chatbot.conversations import made_up, read
from minirnn.chatbot.training import holds
from minirnn.commands.check import check
from minirnn.commands.learn import bugs, experiment
from minirnn.commands.race import doctor
from minirnn.commands.train import train
from minirnn.language import CharTokenizer, WordTokenizer, load_corpus
from minirnn.language.model import LanguageModel
from minirnn.language.sampling import generate
from minirnn.language.training import BEST, TrainConfig, Trainer, calibrate, load_model

__all__ = ["demo"]

PLANTED = "c-carry-dropped"
PROMPT = "The "
LENGTH = 300
TURNS = (
    "Hello!",
    "My name is {name}.",
    "Set a timer for 10 minutes",
    "Actually, make it 15",
    "How long is it?",
    "And what is my name?",
)


def demo(console: Console, out: Path | None, seconds: float, seed: int) -> bool:
    """Doctor's summary, the gradient table, a planted mistake, the reach of gradients, an LSTM trained on Python's
    documentation with samples before and after, and a conversation with the chatbot.

    True if every gradient passed and the mistake was named. Ctrl-C in the training ends it with exit code 130.
    """
    folder = out or Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S")
    train.prepare(folder)
    console.rule("this machine", align="left")
    doctor.summarise(console)
    console.rule("gradients", align="left")
    right = check.check(console, seed)
    console.rule("a mistake, planted in the LSTM's backward pass", align="left")
    right = _planted(console, seed) and right
    console.rule("how far a gradient reaches", align="left")
    experiment.run("vanishing", "quick", seed, folder, ".png", console)

    corpus = load_corpus("python-docs")
    config = TrainConfig(text=corpus.name, hidden=256, dropout=0.1, lr=4e-3, seed=seed)  # for a minute, not for ten
    trainer = Trainer(calibrate(config, corpus, seconds), corpus)
    console.rule("before training", align="left")
    _sample(console, trainer.model, trainer.tokenizer, seed)
    console.rule(f"training on {corpus.name}: {len(corpus.text):,} characters", align="left")
    if not train.train(trainer, folder, console):
        raise SystemExit(130)
    console.rule(f"after step {trainer.best_step}", align="left")
    model, tokenizer, _state = load_model(folder / BEST)
    _sample(console, model, tokenizer, seed)
    console.rule("a conversation, with a name that was just made up", align="left")
    _conversation(console)
    return right


def _planted(console: Console, seed: int) -> bool:
    """Plant a known mistake and let the check find it; True if it names it."""
    planted = specimen(PLANTED)
    for line in planted.lines:
        train.say(console, line)
    finding = judge(bugs.functions(planted.source), TASKS[planted.task], seed)
    train.say(console, "\n".join(finding_lines(finding, 4)))
    return planted.mistake in finding.named


def _conversation(console: Console) -> None:
    """Six turns with the chatbot that comes with minirnn, and what became of the timer and the name."""
    name = made_up("name", "test", np.random.default_rng())
    bot, replies = Chatbot.load(), []
    for turn in TURNS:
        replies.append(bot.reply(turn.format(name=name)))
        train.say(console, f"> {turn.format(name=name)}\n{replies[-1]}")
    for what, reply, value in (("the timer", replies[4], "15 minutes"), ("the name", replies[5], name)):
        right = holds(reply, tuple(read(value)[0]))
        train.say(console, f"{what}: {'remembered' if right else f'wrong, {value} was right'}")


def _sample(console: Console, model: LanguageModel, tokenizer: CharTokenizer | WordTokenizer, seed: int) -> None:
    pieces = generate(model, tokenizer, PROMPT, LENGTH, temperature=0.7, seed=seed)
    train.say(console, PROMPT + "".join(pieces))
