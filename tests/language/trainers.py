"""A small text, small settings and a reporter, for the tests of training."""

import dataclasses

import numpy as np

from minirnn.language import Corpus, TrainConfig, Trainer


def make_corpus(length=2000, seed=0):
    """Return a text of four made-up words, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    words = ["tok ", "maro ", "sil.\n", "eppe "]
    text = "".join(rng.choice(words, length))[:length]
    return Corpus(text, "made up", "0" * 64)


CORPUS = make_corpus()
SMALL = TrainConfig(
    text="made up",
    hidden=6,
    embedding=4,
    layers=2,
    dropout=0.2,
    seq=7,
    batch=4,
    steps=150,
    checkpoint_every=1000,
    lr=2e-2,
    warmup=5,
)


def small(**changes):
    return Trainer(dataclasses.replace(SMALL, **changes), CORPUS)


class Silent:
    """A reporter that records its calls. `at` maps a step to a function to call after it."""

    def __init__(self, at=None):
        self.at, self.steps, self.validations = at or {}, [], []

    def step(self, report):
        self.steps.append(report)
        self.at.get(report.step, lambda: None)()

    def validation(self, step, loss, best):
        self.validations.append((step, loss, best))
