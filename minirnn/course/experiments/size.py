"""How many hidden units? Loss, speed and bytes moved at 128, 256 and 512.

The lecture calls 256 hidden units the sweet spot, because they use the memory's bandwidth best. Two questions are in
that:

- Which size has the lowest loss? More units cost quadratically more multiplications in a step. So LSTMs are trained on
  the documentation of Python for an equal number of steps, and with equal work: as many steps as make the
  multiplications equal. A quarter of that work shows how the answer moves with the budget. CPU times are measured.
- Which size makes the best use of the machine? Reading one character needs every weight once and does two operations
  with it, so its arithmetic intensity is half an operation per byte whatever the size, and the bytes per second say how
  well it goes. Training reads each weight once for a batch of characters; there the operations per second say it.
  Beside them stand the machine's own rates, measured simply: a product of large matrices, and the largest element of an
  array that no cache can hold. A step can be faster than that memory as long as its weights stay in a cache.

The claim is held if 256 has the lowest loss at equal work and, among the three sizes, moves the most bytes per second
in reading one character; in part if one of the two is true.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn import random
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table
from minirnn.language.model import LanguageModel
from minirnn.plots import lines, new_figure, style
from minirnn.language.sampling import read
from minirnn.language import Corpus, load_corpus
from minirnn.language.training import TrainConfig, Trainer

CLAIM = "256 hidden units are the sweet spot: memory-bandwidth optimal."
SOURCE = "The course's lecture on choosing the size of an RNN."

TRAINED = (128, 256, 512)
STEPPED = (32, 64, 128, 256, 512, 1024)
COURSE = 256
COMPARED = ("equal steps", "a quarter of the work", "equal work")
BATCH, SEQ, EMBEDDING = 16, 32, 32
SIZES: dict[Effort, dict[str, int]] = {  # steps of the largest size
    "quick": {"steps": 10, "seeds": 1, "timed": 300},
    "default": {"steps": 240, "seeds": 1, "timed": 2000},
    "full": {"steps": 2000, "seeds": 3, "timed": 10_000},
}


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    size = SIZES[effort]
    corpus = load_corpus("python-docs")
    vocabulary = Trainer(config(1, 1, 0), corpus).tokenizer.vocab_size
    work = {hidden: multiplications(hidden, vocabulary) for hidden in TRAINED}
    train(corpus, TRAINED[0], 3, seed)  # the first steps compile the kernels
    trained = []
    for k, hidden in enumerate(TRAINED):
        progress(k / len(TRAINED), f"training {hidden} units")
        equal = size["steps"] * work[TRAINED[-1]] / work[hidden]
        lengths = {"equal steps": size["steps"], "a quarter of the work": round(equal / 4), "equal work": round(equal)}
        runs = {
            steps: mean([train(corpus, hidden, steps, one) for one in range(seed, seed + size["seeds"])])
            for steps in set(lengths.values())
        }
        trained.append({"hidden": hidden} | {name: runs[steps] for name, steps in lengths.items()})
    progress(0.95, "single steps")
    return judge(
        {
            "corpus": {"name": corpus.name, "sha256": corpus.sha256},
            "size": size,
            "vocabulary": vocabulary,
            "trained": trained,
            "stepped": [step_rate(hidden, vocabulary, size["timed"]) for hidden in STEPPED],
            "machine": {"operations_per_second": peak(), "bytes_per_second": bandwidth()},
        }
    )


def config(hidden: int, steps: int, seed: int) -> TrainConfig:
    return TrainConfig(
        hidden=hidden, embedding=EMBEDDING, dropout=0.0, seq=SEQ, batch=BATCH, steps=steps, seed=seed
    )  # fmt: skip


def multiplications(hidden: int, vocabulary: int) -> int:
    """Of reading one character: the weights of the LSTM's four gates and of the scores, each used once."""
    return 4 * hidden * (EMBEDDING + hidden) + hidden * vocabulary


def train(corpus: Corpus, hidden: int, steps: int, seed: int) -> dict[str, float]:
    """The loss on the held-out text (nats/character), the CPU time, and the operations per second.

    A multiplication and an addition are two operations; the backward pass does twice as many as the forward one.
    """
    trainer = Trainer(config(hidden, steps, seed), corpus)
    began = time.process_time()
    for _ in range(steps):
        trainer.step()
    seconds = time.process_time() - began
    operations = 3 * 2 * multiplications(hidden, trainer.tokenizer.vocab_size) * BATCH * SEQ * steps
    return {
        "steps": steps,
        "loss": trainer.validate(),
        "seconds": seconds,
        "operations_per_second": operations / seconds,
    }


def mean(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}


def step_rate(hidden: int, vocabulary: int, times: int) -> dict[str, float]:
    """The CPU time of reading one character, the bytes of weights that takes, and the bytes per second."""
    random.manual_seed(0)
    model = LanguageModel(vocabulary, "lstm", hidden, embedding=EMBEDDING).eval()
    ids = np.array([1])
    _logits, states = read(model, ids[:, None])

    def step() -> None:
        model.step(ids, states)

    seconds = least(step, times)
    moved = 4 * multiplications(hidden, vocabulary)
    return {"hidden": hidden, "seconds": seconds, "bytes": moved, "bytes_per_second": moved / seconds}


def least(work: Callable[[], object], times: int) -> float:
    """The CPU time (s) that a tenth of the calls of `work` stay below: what other programs disturb least."""
    used = []
    for _ in range(times):
        began = time.thread_time_ns()
        work()
        used.append(time.thread_time_ns() - began)
    return float(np.percentile(used, 10)) / 1e9


def peak() -> float:
    """Operations per second of a product of matrices in float32."""
    n = 1024
    a = np.ones((n, n), np.float32)
    out = np.empty_like(a)
    return 2 * n**3 / least(lambda: np.matmul(a, a, out=out), 10)


def bandwidth() -> float:
    """Bytes per second of reading 256 MB once."""
    a = np.ones(64_000_000, np.float32)
    return a.nbytes / least(lambda: a.max(), 5)


def judge(numbers: Numbers) -> Outcome:
    """The verdict, by the criterion in the module's docstring."""
    losses = {t["hidden"]: t["equal work"]["loss"] for t in numbers["trained"]}
    rates = {s["hidden"]: s["bytes_per_second"] for s in numbers["stepped"] if s["hidden"] in losses}
    best, fastest = min(losses, key=lambda h: losses[h]), max(rates, key=lambda h: rates[h])
    measured = (
        "at equal work the loss is "
        + ", ".join(f"{loss:.2f} ({hidden})" for hidden, loss in losses.items())
        + "; a step moves "
        + ", ".join(f"{rate / 1e9:.1f} ({hidden})" for hidden, rate in rates.items())
        + f" GB/s, the memory {numbers['machine']['bytes_per_second'] / 1e9:.1f} GB/s."
    )
    right = (best == COURSE) + (fastest == COURSE)
    behind = [
        next(t[name]["loss"] for t in numbers["trained"] if t["hidden"] == COURSE)
        - min(t[name]["loss"] for t in numbers["trained"])
        for name in COMPARED[1:]
    ]
    why = (
        f"At equal work {best} units have the lowest loss, {fastest} move the most bytes per second. {COURSE} "
        f"units are {behind[0]:.2f} nats behind the best at a quarter of the work, {behind[1]:.2f} at all of it."
    )
    return Outcome(numbers, measured, ("did not hold", "held in part", "held")[right], "" if right == 2 else why)


def tables(numbers: Numbers) -> list[Table]:
    return [
        Table(
            "Training",
            ["hidden units", "compared at", "steps", "loss (nats/character)", "CPU time (s)", "GFLOP/s"],
            [
                [
                    t["hidden"],
                    name,
                    t[name]["steps"],
                    t[name]["loss"],
                    t[name]["seconds"],
                    t[name]["operations_per_second"] / 1e9,
                ]
                for name in COMPARED
                for t in numbers["trained"]
            ],
        ),
        Table(
            "Reading one character",
            ["hidden units", "CPU time (µs)", "weights (kB)", "GB/s"],
            [
                [s["hidden"], s["seconds"] * 1e6, s["bytes"] / 1e3, s["bytes_per_second"] / 1e9]
                for s in numbers["stepped"]
            ],
        ),
        Table(
            "The machine, one thread",
            ["", "rate"],
            [
                ["product of large matrices (GFLOP/s)", numbers["machine"]["operations_per_second"] / 1e9],
                ["reading memory (GB/s)", numbers["machine"]["bytes_per_second"] / 1e9],
            ],
        ),
    ]


@style()
def draw(numbers: Numbers) -> Any:
    """Left: the loss at equal steps and equal work. Right: bytes per second of single steps, beside the memory's."""
    figure, (left, right) = new_figure(columns=2)
    hidden = [t["hidden"] for t in numbers["trained"]]
    for k, name in enumerate(COMPARED):
        left.plot(hidden, [t[name]["loss"] for t in numbers["trained"]], label=name, **lines(k))
    left.set_xscale("log", base=2)
    left.set_xticks(hidden, hidden)
    left.set(xlabel="hidden units", ylabel="held-out loss (nats/character)")
    left.legend()
    stepped = numbers["stepped"]
    right.plot(
        [s["hidden"] for s in stepped],
        [s["bytes_per_second"] / 1e9 for s in stepped],
        label="weights read in a step",
        **lines(0),
    )
    memory = numbers["machine"]["bytes_per_second"] / 1e9
    right.axhline(memory, color="0.4", linestyle="--", label="reading memory")
    right.set_xscale("log", base=2)
    right.set_xticks([s["hidden"] for s in stepped], [s["hidden"] for s in stepped])
    right.set(xlabel="hidden units", ylabel="GB/s, one character at a time", ylim=(0, None))
    right.legend()
    return figure
