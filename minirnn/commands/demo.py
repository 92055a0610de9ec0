"""`minirnn demo`: in two minutes, that the gradients are right and that a network learns."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from minirnn.commands import check, doctor, train
from minirnn.models import LanguageModel
from minirnn.sampling import generate
from minirnn.text import CharTokenizer, WordTokenizer, load_corpus
from minirnn.training import BEST, TrainConfig, Trainer, calibrate, load_model

__all__ = ["demo"]

PROMPT = "The "
LENGTH = 300


def demo(console: Console, out: Path | None, seconds: float, seed: int) -> bool:
    """Doctor's summary, the gradient table, an LSTM trained for `seconds` on Python's documentation, samples around it.

    True if every gradient passed. Ctrl-C in the training ends it with exit code 130.
    """
    folder = out or Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S")
    train.prepare(folder)
    console.rule("this machine", align="left")
    doctor.summarise(console)
    console.rule("gradients", align="left")
    right = check.check(console, seed)

    corpus = load_corpus("python-docs")
    config = TrainConfig(text=corpus.name, seed=seed)
    trainer = Trainer(calibrate(config, corpus, seconds), corpus)
    console.rule("before training", align="left")
    _sample(console, trainer.model, trainer.tokenizer, seed)
    console.rule(f"training on {corpus.name}: {len(corpus.text):,} characters", align="left")
    if not train.train(trainer, folder, console):
        raise SystemExit(130)
    console.rule(f"after step {trainer.best_step}", align="left")
    model, tokenizer, _state = load_model(folder / BEST)
    _sample(console, model, tokenizer, seed)
    return right


def _sample(console: Console, model: LanguageModel, tokenizer: CharTokenizer | WordTokenizer, seed: int) -> None:
    pieces = generate(model, tokenizer, PROMPT, LENGTH, temperature=0.7, seed=seed)
    train.say(console, PROMPT + "".join(pieces))
