"""Exploding gradients, and the effect of gradient clipping.

The gradient of a recurrent network is a sum of products of Jacobians over time. If these products grow, the gradient of
one window of text can be a thousand times longer than usual, and a single step along it moves the weights far away (the
"cliff" of Pascanu, Mikolov and Bengio 2013, figure 6). Clipping bounds that step: clipping by norm scales the whole
gradient down to a given length; clipping by value limits each entry separately, which changes the direction. The
lecture clips at 5.

A character model with a plain tanh RNN reads the documentation of Python in windows of 50 characters. It is trained by
gradient descent without momentum, so the length of a step is the learning rate times the length of the gradient. The
runs combine several learning rates and seeds with no clipping, clipping by norm at 5 and at 1, and clipping by value at
5 and at 0.1. They begin from the standard initialisation and from a chaotic one: an orthogonal recurrent matrix times
2.5, with long gradients from the first step on. The loss is the mean over characters. If the loss is their sum, as in
min-char-rnn with its windows of 25 characters, the gradient is 25 times as long, and a limit of 5 corresponds to a
limit of 0.2 here.

A run is judged by its final steps. It exploded if it reached a number that is not finite, or if its mean loss over the
last 20 steps is above the loss of a unigram model, which knows only the frequency of each character. A temporary jump
of the loss is not an explosion. Runs that explode only with clipping count as well, including those in which clipping
makes the steps too short to leave a bad start. The claim held if clipping by norm at 5 reduces the number of exploding
runs to a tenth or less. It held in part if that number falls to half or less, or if another kind of clipping reduces it
to a tenth. It did not hold if no run explodes without clipping.
"""

import contextlib
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn import nn, plots
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table, tracked, verdict, where
from minirnn.language import load_corpus, unigram_loss
from minirnn.language.training import Diverged, TrainConfig, Trainer

CLAIM = "Clipping the gradient's norm at 5 cures exploding gradients."
SOURCE = "The course's lecture on training RNNs; Pascanu, Mikolov and Bengio 2013, section 3.2."

LIMITS: dict[str, tuple[float | None, float | None]] = {  # the limits of the norm and of the values
    "none": (None, None),
    "norm 5": (5.0, None),
    "norm 1": (1.0, None),
    "value 5": (None, 5.0),
    "value 0.1": (None, 0.1),
}
CLAIMED = "norm 5"
EFFORTS: dict[Effort, dict[str, Any]] = {
    "quick": {"rates": {"standard": [0.5, 2.0], "chaotic": [0.5]}, "seeds": 1, "steps": 150},
    "default": {"rates": {"standard": [0.5, 1.0, 2.0, 4.0], "chaotic": [0.5, 2.0]}, "seeds": 3, "steps": 200},
    "full": {
        "rates": {start: [0.25, 0.5, 1.0, 2.0, 4.0, 8.0] for start in ("standard", "chaotic")},
        "seeds": 10,
        "steps": 1000,
    },
}
CHAOTIC = 2.5  # spectral radius of the recurrent matrix
DRAWN_RATE = 2.0  # the learning rate of the curves in the figure
WORSE = 1.1  # times the loss of a uniform guess; the "usual" steps are those before the first higher loss
LAST = 20  # the number of steps over which the final loss is averaged


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Train with each kind of clipping from each start, at each rate and with each seed, and judge the claim."""
    size = EFFORTS[effort]
    corpus = load_corpus("python-docs")
    first = Trainer(config("none", 1.0, seed, 1), corpus)
    vocabulary = first.tokenizer.vocab_size
    unigram = unigram_loss(first.train_ids, first.valid_ids, vocabulary)
    runs, curves = [], {}
    cases = list(itertools.product(LIMITS, _settings(size), range(seed, seed + size["seeds"])))
    for (way, setting, one), _ in tracked(cases, progress, lambda case: f"clipping {case[0]}, {_name(case[1])}"):
        start, rate = setting["start"], setting["rate"]
        trainer = Trainer(config(way, rate, one, size["steps"]), corpus)
        if start == "chaotic":
            nn.init.orthogonal_(trainer.model.rnn.weight_hh_l0, CHAOTIC)
        losses, norms = train(trainer)
        found = summary(losses, norms, size["steps"], unigram)
        runs.append({"way": way} | setting | {"seed": one} | found)
        if (start, rate, one) == ("standard", DRAWN_RATE, seed):
            curves[way] = {"losses": losses, "norms": norms}
    return judge(
        {
            "corpus": {"name": corpus.name, "sha256": corpus.sha256},
            "size": size,
            "guess_loss": math.log(vocabulary),
            "unigram_loss": unigram,
            "runs": runs,
            "curves": curves,
        }
    )


def _settings(size: Numbers) -> list[dict[str, Any]]:
    """Return all pairs of a start and a learning rate."""
    return [{"start": start, "rate": rate} for start, rates in size["rates"].items() for rate in rates]


def _name(setting: Numbers) -> str:
    return f"{setting['start']}, rate {setting['rate']:g}"


def config(way: str, rate: float, seed: int, steps: int) -> TrainConfig:
    """Return the settings of a run with the kind of clipping `way`, a key of LIMITS."""
    norm, value = LIMITS[way]
    return TrainConfig(
        cell="rnn", hidden=64, embedding=16, dropout=0.0, seq=50, batch=16, optimizer="sgd", lr=rate, warmup=0,
        clip_norm=norm, clip_value=value, steps=steps, seed=seed,
    )  # fmt: skip


def train(trainer: Trainer) -> tuple[list[float], list[float]]:
    """Return each step's loss and gradient norm before clipping, up to the first value that is not finite."""
    reports = []
    with contextlib.suppress(Diverged):
        for _ in range(trainer.config.steps):
            reports.append(trainer.step())
    return [report.loss for report in reports], [report.grad_norm for report in reports]


def summary(losses: Sequence[float], norms: Sequence[float], steps: int, unigram: float) -> dict[str, Any]:
    """Return whether a run of `steps` steps exploded, its final loss (None if it ended early) and its largest norm."""
    end = float(np.mean(losses[-LAST:])) if len(losses) == steps else None
    return {
        "exploded": end is None or end > unigram,
        "end": end,
        "largest_norm": max(norms, default=None),
    }


def judge(numbers: Numbers) -> Outcome:
    """Judge the claim by the criterion in the module's docstring."""
    runs = numbers["runs"]
    lost = {way: {(r["start"], r["rate"], r["seed"]) for r in where(runs, way=way, exploded=True)} for way in LIMITS}
    without = lost.pop("none")
    measured = (
        f"exploding runs out of {len(where(runs, way='none'))}: {len(without)} without clipping, "
        + ", ".join(
            f"{len(cases)} with {way} ({len(cases - without)} only with clipping)" for way, cases in lost.items()
        )
        + "."
    )
    held = len(without) > 0 and len(lost[CLAIMED]) <= len(without) / 10
    fewest = min(map(len, lost.values()))
    in_part = len(without) > 0 and (len(lost[CLAIMED]) <= len(without) / 2 or fewest <= len(without) / 10)
    standard, chaotic = (
        ", ".join(f"{_range(where(runs, way=way, **chosen))} ({way})" for way in LIMITS)
        for chosen in ({"start": "standard", "rate": DRAWN_RATE}, {"start": "chaotic"})
    )
    why = "" if without else "No run explodes without clipping. "
    why += (
        f"The norm of the gradient is {typical(numbers):.2g} in a usual step; the limit is 5. At rate {DRAWN_RATE:g}, "
        f"the final loss is {standard}; from the chaotic start, over all rates, it is {chaotic}."
    )
    return Outcome(numbers, measured, verdict(held, in_part), "" if held else why)


def typical(numbers: Numbers) -> float:
    """Return the median gradient norm of the figure's unclipped run, up to the first loss above that of a guess."""
    curve = numbers["curves"]["none"]
    bad = [k for k, loss in enumerate(curve["losses"]) if k and loss > WORSE * numbers["guess_loss"]]
    return float(np.median(curve["norms"][: bad[0] if bad else None]))


def _range(runs: Sequence[Numbers]) -> str:
    """Return the lowest and the highest final loss of some runs, and the number of runs without a finite one."""
    finite = [run["end"] for run in runs if run["end"] is not None]
    if not finite:
        return "no finite number"
    missing = len(runs) - len(finite)
    return f"{min(finite):.2f} to {max(finite):.2f}" + f", {missing} not finite" * bool(missing)


def tables(numbers: Numbers) -> list[Table]:
    """Return the explosions, the final losses and the largest norms, by kind of clipping, start and rate."""
    settings, seeds = _settings(numbers["size"]), numbers["size"]["seeds"]
    header = ["clipping", *map(_name, settings)]
    cells = {way: [where(numbers["runs"], way=way, **setting) for setting in settings] for way in LIMITS}
    return [
        Table(
            f"Exploded runs (above the unigram model at the end) of {seeds} each",
            header,
            [[way, *(sum(r["exploded"] for r in runs) for runs in row)] for way, row in cells.items()],
        ),
        Table(
            f"Final loss (nats/character) of {seeds} runs; unigram model {numbers['unigram_loss']:.2f}",
            header,
            [[way, *map(_range, row)] for way, row in cells.items()],
        ),
        Table(
            "Largest norm of the gradient before clipping",
            header,
            [[way, *(float(max(r["largest_norm"] for r in runs)) for runs in row)] for way, row in cells.items()],
        ),
    ]


@plots.style()
def draw(numbers: Numbers) -> Any:
    """Return a figure: the losses and gradient norms for one rate and seed, and the final loss against the rate."""
    figure, (left, middle, right) = plots.new_figure(columns=3, width=7.6, height=3.0)
    rates, unigram = numbers["size"]["rates"]["standard"], numbers["unigram_loss"]
    for k, way in enumerate(LIMITS):
        curve, look = numbers["curves"][way], plots.lines(k)
        sparse = look | {"markevery": (5 * k, max(1, len(curve["losses"]) // 5)), "linewidth": 1.0}
        for panel, values in ((left, curve["losses"]), (middle, curve["norms"])):
            panel.semilogy(range(1, len(values) + 1), values, **sparse)
        ends = [[r["end"] for r in where(numbers["runs"], way=way, start="standard", rate=rate)] for rate in rates]
        right.plot(rates, [None if None in e else np.median(e) for e in ends], label=way, **look)
    left.set(xlabel="step", ylabel="loss (nats/character)", title=f"one run at rate {DRAWN_RATE:g}")
    middle.set(xlabel="step", ylabel="norm of the gradient", title="the same, before clipping")
    right.set(xlabel="learning rate", ylabel="final loss (nats/character)", title="median over seeds")
    left.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    left.minorticks_off()
    losses = [loss for curve in numbers["curves"].values() for loss in curve["losses"]]
    left.set_ylim(0.9 * min(losses), 1.1 * max(losses))
    right.axhline(unigram, color="0.5", linewidth=0.8)
    right.annotate("unigram", (rates[0], unigram), xytext=(0, 2), textcoords="offset points", fontsize=7)
    plots.log_ticks(right, rates)
    figure.legend(loc="outside upper center", ncols=len(LIMITS))
    return figure
