"""Exploding gradients, and what clipping does about them.

The gradient of a recurrent network is a sum of products of Jacobians over time. Where these products grow, one window
of text can give a gradient a thousand times longer than the others, and one step along it throws the weights far away
(the "cliff" of Pascanu, Mikolov and Bengio 2013, figure 6). Clipping bounds that step: by norm, the whole gradient is
scaled down to a length; by value, each entry is cut off on its own, which turns the direction. The lecture clips at 5.

A character model with a plain tanh RNN reads the documentation of Python in windows of 50 characters and learns by
gradient descent without momentum, so that the length of a step is the rate times that of the gradient. It does so at
several learning rates, from several seeds, without clipping, with the norm clipped to 5 and to 1, and with the values
clipped to 5 and to 0.1; from the standard start and from a chaotic one, an orthogonal recurrent matrix times 2.5, where
gradients are long from the first step on. The loss is the mean over characters. Where it is their sum, as in
min-char-rnn with its windows of 25 characters, the gradient is 25 times as long, and a limit of 5 there is one of 0.2
here.

A run is judged by its end: it has exploded if it got to a number that isn't finite, or if its loss over the last 20
steps is above that of a unigram model, which knows how frequent each character is and nothing else. A loss that jumps
and comes down again is no explosion. Runs that explode with clipping and didn't without count like the others, also
where clipping makes the steps too short to leave a bad start. The claim is held if at most a tenth as many runs explode
with the norm clipped to 5 as without clipping; in part if at most half as many do, or if another way of clipping brings
it to a tenth. Where none explodes without, it isn't held.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn import nn
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table
from minirnn.plots import lines, new_figure, style
from minirnn.language import load_corpus, unigram_loss
from minirnn.language.training import Diverged, TrainConfig, Trainer

CLAIM = "Clipping the gradient's norm at 5 cures exploding gradients."
SOURCE = "The course's lecture on training RNNs; Pascanu, Mikolov and Bengio 2013, section 3.2."

WAYS: dict[str, tuple[float | None, float | None]] = {  # limits of the norm and of the values
    "none": (None, None),
    "norm 5": (5.0, None),
    "norm 1": (1.0, None),
    "value 5": (None, 5.0),
    "value 0.1": (None, 0.1),
}
COURSE = "norm 5"
SIZES: dict[Effort, dict[str, Any]] = {
    "quick": {"rates": {"standard": [0.5, 2.0], "chaotic": [0.5]}, "seeds": 1, "steps": 150},
    "default": {"rates": {"standard": [0.5, 1.0, 2.0, 4.0], "chaotic": [0.5, 2.0]}, "seeds": 3, "steps": 200},
    "full": {
        "rates": {start: [0.25, 0.5, 1.0, 2.0, 4.0, 8.0] for start in ("standard", "chaotic")},
        "seeds": 10,
        "steps": 1000,
    },
}
CHAOTIC = 2.5  # spectral radius
SHOWN = 2.0  # the rate whose curves are drawn
WORSE = 1.1  # times the loss of guessing all characters equally: where the usual steps end
LAST = 20  # steps over which the loss at the end is averaged


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    size = SIZES[effort]
    corpus = load_corpus("python-docs")
    settings = [(start, rate) for start, rates in size["rates"].items() for rate in rates]
    cases = list(itertools.product(WAYS, settings, range(seed, seed + size["seeds"])))
    first = Trainer(config("none", 1.0, seed, 1), corpus)
    vocabulary = first.tokenizer.vocab_size
    unigram = unigram_loss(first.train_ids, first.valid_ids, vocabulary)
    runs, curves = [], {}
    for k, (way, (start, rate), one) in enumerate(cases):
        progress(k / len(cases), f"clipping {way}, {start} start, rate {rate:g}")
        trainer = Trainer(config(way, rate, one, size["steps"]), corpus)
        if start == "chaotic":
            nn.init.orthogonal_(trainer.model.rnn.weight_hh_l0, CHAOTIC)
        losses, norms = train(trainer)
        found = summary(losses, norms, size["steps"], unigram)
        runs.append({"way": way, "start": start, "rate": rate, "seed": one} | found)
        if (start, rate, one) == ("standard", SHOWN, seed):
            curves[way] = {"losses": losses, "norms": norms}
    numbers = {
        "corpus": {"name": corpus.name, "sha256": corpus.sha256},
        "size": size,
        "guess_loss": math.log(vocabulary),
        "unigram_loss": unigram,
        "runs": runs,
        "curves": curves,
    }
    return judge(numbers)


def config(way: str, rate: float, seed: int, steps: int) -> TrainConfig:
    norm, value = WAYS[way]
    return TrainConfig(
        cell="rnn", hidden=64, embedding=16, dropout=0.0, seq=50, batch=16, optimizer="sgd", lr=rate, warmup=0,
        clip_norm=norm, clip_value=value, steps=steps, seed=seed,
    )  # fmt: skip


def train(trainer: Trainer) -> tuple[list[float], list[float]]:
    """The loss and the gradient's norm before clipping of each step, up to the first that aren't finite."""
    losses, norms = [], []
    for _ in range(trainer.config.steps):
        try:
            report = trainer.step()
        except Diverged:
            break
        losses.append(report.loss)
        norms.append(report.grad_norm)
    return losses, norms


def summary(losses: Sequence[float], norms: Sequence[float], steps: int, unigram: float) -> dict[str, Any]:
    """Whether a run of `steps` steps exploded, its loss at the end (None if it didn't get there), its largest norm."""
    end = float(np.mean(losses[-LAST:])) if len(losses) == steps else None
    return {
        "exploded": end is None or end > unigram,
        "end": end,
        "largest_norm": max(norms, default=None),
    }


def judge(numbers: Numbers) -> Outcome:
    """The verdict, by the criterion in the module's docstring."""
    lost = {way: {_case(r) for r in numbers["runs"] if r["way"] == way and r["exploded"]} for way in WAYS}
    without = lost["none"]
    total = sum(r["way"] == "none" for r in numbers["runs"])
    measured = f"of {total} runs {len(without)} explode without clipping; " + ", ".join(
        f"{len(cases)} with {way} ({len(cases - without)} of them not without)"
        for way, cases in lost.items()
        if way != "none"
    )
    if len(without) and len(lost[COURSE]) <= len(without) / 10:
        return Outcome(numbers, measured + ".", "held")
    fewest = min(len(cases) for way, cases in lost.items() if way != "none")
    partly = len(lost[COURSE]) <= len(without) / 2 or fewest <= len(without) / 10
    shown, chaotic = (
        ", ".join(f"{_range([r['end'] for r in select(numbers, way, *setting)])} ({way})" for way in WAYS)
        for setting in (("standard", SHOWN), ("chaotic",))
    )
    why = (
        f"The norm of the gradient is {typical(numbers):.2g} in a usual step, against the limit of 5. At rate "
        f"{SHOWN:g} the loss ends at {shown}; from the chaotic start, over all rates, at {chaotic}."
    )
    if not without:
        return Outcome(numbers, measured + ".", "did not hold", f"Nothing explodes without clipping. {why}")
    return Outcome(numbers, measured + ".", "held in part" if partly else "did not hold", why)


def _case(run: Any) -> tuple[Any, ...]:
    return run["start"], run["rate"], run["seed"]


def typical(numbers: Numbers) -> float:
    """The median norm of the gradient in the unclipped run that is shown, before its loss first rose above guessing."""
    curve = numbers["curves"]["none"]
    bad = [k for k, loss in enumerate(curve["losses"]) if k and loss > WORSE * numbers["guess_loss"]]
    return float(np.median(curve["norms"][: bad[0] if bad else None]))


def select(numbers: Numbers, way: str, start: str, rate: float | None = None) -> list[Any]:
    """The runs with this clipping from this start, at one rate or all."""
    return [r for r in numbers["runs"] if (r["way"], r["start"]) == (way, start) and rate in (None, r["rate"])]


def _range(ends: Sequence[float | None]) -> str:
    finite = [end for end in ends if end is not None]
    if not finite:
        return "no finite number"
    missing = len(ends) - len(finite)
    return f"{min(finite):.2f} to {max(finite):.2f}" + f", {missing} not finite" * bool(missing)


def tables(numbers: Numbers) -> list[Table]:
    seeds = numbers["size"]["seeds"]
    shown: dict[str, Callable[[list[Any]], Any]] = {
        f"Exploded (worse than the unigram model at the end), of {seeds} runs each": lambda runs: sum(
            r["exploded"] for r in runs
        ),
        f"Loss at the end (nats/character) of {seeds} runs; unigram model {numbers['unigram_loss']:.2f}": lambda runs: (
            _range([r["end"] for r in runs])
        ),
        "Largest norm of the gradient before clipping": lambda runs: float(max(r["largest_norm"] for r in runs)),
    }
    settings = [(start, rate) for start, rates in numbers["size"]["rates"].items() for rate in rates]
    header = ["clipping", *(f"{start}, rate {rate:g}" for start, rate in settings)]
    return [
        Table(title, header, [[way, *(cell(select(numbers, way, *setting)) for setting in settings)] for way in WAYS])
        for title, cell in shown.items()
    ]


@style()
def draw(numbers: Numbers) -> Any:
    """Learning curves and gradient norms of one rate and seed, and the loss at the end against the rate."""
    figure, (left, middle, right) = new_figure(columns=3, width=7.6, height=3.0)
    for k, way in enumerate(WAYS):
        kind = lines(k)
        curve = numbers["curves"][way]
        sparse = kind | {"markevery": (5 * k, max(1, len(curve["losses"]) // 5)), "linewidth": 1.0}
        left.semilogy(range(1, len(curve["losses"]) + 1), curve["losses"], **sparse)
        middle.semilogy(range(1, len(curve["norms"]) + 1), curve["norms"], **sparse)
        rates = numbers["size"]["rates"]["standard"]
        ends = [[r["end"] for r in select(numbers, way, "standard", rate)] for rate in rates]
        right.plot(rates, [None if None in e else np.median(e) for e in ends], label=way, **kind)
    left.set(xlabel="step", ylabel="loss (nats/character)", title=f"one run at rate {SHOWN:g}")
    middle.set(xlabel="step", ylabel="norm of the gradient", title="the same, before clipping")
    left.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    left.minorticks_off()
    losses = [loss for curve in numbers["curves"].values() for loss in curve["losses"]]
    left.set_ylim(0.9 * min(losses), 1.1 * max(losses))
    right.axhline(numbers["unigram_loss"], color="0.5", linewidth=0.8)
    right.annotate(
        "unigram", (rates[0], numbers["unigram_loss"]), xytext=(0, 2), textcoords="offset points", fontsize=7
    )
    right.set(
        xlabel="learning rate", ylabel="loss at the end (nats/character)", title="median over seeds", xscale="log"
    )
    right.set_xticks(rates, [f"{rate:g}" for rate in rates])
    right.minorticks_off()
    figure.legend(loc="outside upper center", ncols=len(WAYS))
    return figure
