"""`minirnn demo`: gradient checks, a named mistake, the reach of gradients, training and a chatbot in three minutes."""

import time
from pathlib import Path

import numpy as np
from rich.console import Console

from minirnn.assignments import TASKS, judge
from minirnn.assignments.catalogue.gallery import specimen
from minirnn.assignments.diagnosis.render import finding_lines
from minirnn.chatbot import Chatbot, holds
from minirnn.chatbot.conversations import made_up, read
from minirnn.commands.check import check
from minirnn.commands.learn import bugs, experiment
from minirnn.commands.output import say
from minirnn.commands.race import doctor
from minirnn.commands.train import train
from minirnn.language import (
    BEST,
    CharTokenizer,
    LanguageModel,
    TrainConfig,
    Trainer,
    WordTokenizer,
    calibrate,
    generate,
    load_corpus,
    load_model,
)

__all__ = ["demo"]

PLANTED = "c-carry-dropped"
PROMPT = "The "
LENGTH = 300  # characters of a sample
TURNS = (
    "Hello!",
    "My name is {name}.",
    "Set a timer for 10 minutes",
    "Actually, make it 15",
    "How long is it?",
    "And what is my name?",
)


def demo(console: Console, out: Path | None, seconds: float, seed: int) -> bool:
    """Show the machine, the gradient checks, a planted mistake, the reach of gradients, a training run and the chatbot.

    The training run is an LSTM on Python's documentation, with samples before and after. Return True if every gradient
    passed and the mistake was named. Ctrl-C in the training ends the demo with exit code 130.
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
    config = TrainConfig(
        text=corpus.name, hidden=256, dropout=0.1, lr=4e-3, seed=seed
    )  # settings for a minute of training
    trainer = Trainer(calibrate(config, corpus, seconds), corpus)
    console.rule("before training", align="left")
    _sample(console, trainer.model, trainer.tokenizer, seed)
    console.rule(f"training on {corpus.name}: {len(corpus.text):,} characters", align="left")
    if not train.train(trainer, folder, console):
        raise SystemExit(130)
    console.rule(f"after step {trainer.best_step}", align="left")
    model, tokenizer, _state = load_model(folder / BEST)
    _sample(console, model, tokenizer, seed)
    console.rule("a conversation, with a name made up just now", align="left")
    _conversation(console)
    return right


def _planted(console: Console, seed: int) -> bool:
    """Plant a known mistake and run the check on it. Return True if the check names the mistake."""
    planted = specimen(PLANTED)
    for line in planted.lines:
        say(console, line)
    finding = judge(bugs.functions(planted.source), TASKS[planted.task], seed)
    say(console, "\n".join(finding_lines(finding, 4)))
    return planted.mistake in finding.named


def _conversation(console: Console) -> None:
    """Print six turns with minirnn's chatbot, and whether it remembered the timer and the name."""
    name = made_up("name", "test", np.random.default_rng())
    bot, replies = Chatbot.load(), []
    for turn in TURNS:
        replies.append(bot.reply(turn.format(name=name)))
        say(console, f"> {turn.format(name=name)}\n{replies[-1]}")
    for what, reply, value in (("the timer", replies[4], "15 minutes"), ("the name", replies[5], name)):
        right = holds(reply, tuple(read(value)[0]))
        say(console, f"{what}: {'remembered' if right else f'wrong, expected {value}'}")


def _sample(console: Console, model: LanguageModel, tokenizer: CharTokenizer | WordTokenizer, seed: int) -> None:
    pieces = generate(model, tokenizer, PROMPT, LENGTH, temperature=0.7, seed=seed)
    say(console, PROMPT + "".join(pieces))
