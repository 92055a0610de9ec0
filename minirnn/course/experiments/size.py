"""How many hidden units? Loss, speed and memory traffic of 128, 256 and 512 units.

The lecture calls 256 hidden units the sweet spot, because they make the best use of the memory bandwidth. This claim
combines two questions:

- Which size gives the lowest loss? The multiplications of a step grow quadratically with the number of units. LSTMs are
  therefore trained on the documentation of Python both for an equal number of steps and with equal work: for the number
  of steps that makes the total of multiplications equal. A comparison at a quarter of that work shows how the answer
  depends on the budget. CPU times are measured.
- Which size makes the best use of the machine? Reading one character uses every weight once, for two operations, so
  its arithmetic intensity is half an operation per byte for every size, and bytes per second is the right measure.
  Training reads each weight once for a batch of characters; there, operations per second is the right measure. For
  comparison, two rates of the machine are measured with simple programs: a product of large matrices, and the maximum
  of an array larger than any cache. A step can exceed this memory rate if its weights fit in a cache.

The claim held if, among the three sizes, 256 has the lowest loss at equal work and moves the most bytes per second when
it reads one character. It held in part if one of the two is true.
"""

import time
from typing import Any

import numpy as np

from minirnn import plots, random
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table, tracked, verdict, where
from minirnn.course.measuring import cpu_seconds
from minirnn.language import Corpus, load_corpus
from minirnn.language.model import LanguageModel
from minirnn.language.sampling import read
from minirnn.language.training import TrainConfig, Trainer

CLAIM = "256 hidden units are the sweet spot: memory-bandwidth optimal."
SOURCE = "The course's lecture on choosing the size of an RNN."

TRAINED = (128, 256, 512)  # hidden units
STEPPED = (32, 64, 128, 256, 512, 1024)
CLAIMED = 256
COMPARED = ("equal steps", "a quarter of the work", "equal work")
BATCH, SEQ, EMBEDDING = 16, 32, 32
EFFORTS: dict[Effort, dict[str, int]] = {  # "steps": training steps of the largest size; "timed": single steps
    "quick": {"steps": 10, "seeds": 1, "timed": 300},
    "default": {"steps": 240, "seeds": 1, "timed": 2000},
    "full": {"steps": 2000, "seeds": 3, "timed": 10_000},
}


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Train each size for each number of steps, time single steps, and judge the claim."""
    size = EFFORTS[effort]
    corpus = load_corpus("python-docs")
    vocabulary = Trainer(config(1, 1, 0), corpus).tokenizer.vocab_size
    train(corpus, TRAINED[0], 3, seed)  # the first steps compile the kernels
    largest = size["steps"] * multiplications(TRAINED[-1], vocabulary)
    trained = []
    for hidden, _ in tracked(TRAINED, progress, lambda hidden: f"training {hidden} units"):
        equal = largest / multiplications(hidden, vocabulary)
        lengths = dict(zip(COMPARED, (size["steps"], round(equal / 4), round(equal)), strict=True))
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
    """Return the settings of a training run."""
    return TrainConfig(
        hidden=hidden, embedding=EMBEDDING, dropout=0.0, seq=SEQ, batch=BATCH, steps=steps, seed=seed
    )  # fmt: skip


def multiplications(hidden: int, vocabulary: int) -> int:
    """Return the multiplications for one character: each weight of the LSTM's four gates and of the scores, once."""
    return 4 * hidden * (EMBEDDING + hidden) + hidden * vocabulary


def train(corpus: Corpus, hidden: int, steps: int, seed: int) -> dict[str, float]:
    """Return the loss on the held-out text (nats/character), the CPU time (s), and the operations per second.

    A multiplication and an addition are two operations. The backward pass takes twice as many as the forward pass.
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
    """Return the mean of each number over the runs."""
    return {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}


def step_rate(hidden: int, vocabulary: int, times: int) -> dict[str, float]:
    """Return the CPU time of reading one character, the bytes of the weights it uses, and the bytes per second."""
    random.manual_seed(0)
    model = LanguageModel(vocabulary, "lstm", hidden, embedding=EMBEDDING).eval()
    ids = np.array([1])
    _, states = read(model, ids[:, None])
    seconds = float(np.percentile(cpu_seconds(lambda: model.step(ids, states), times), 10))
    moved = 4 * multiplications(hidden, vocabulary)
    return {"hidden": hidden, "seconds": seconds, "bytes": moved, "bytes_per_second": moved / seconds}


def peak() -> float:
    """Return the operations per second of a matrix product in float32."""
    a = np.ones((1024, 1024), np.float32)
    out = np.empty_like(a)
    return float(2 * len(a) ** 3 / np.percentile(cpu_seconds(lambda: np.matmul(a, a, out=out), 10), 10))


def bandwidth() -> float:
    """Return the bytes per second of reading 256 MB once."""
    a = np.ones(64_000_000, np.float32)
    return float(a.nbytes / np.percentile(cpu_seconds(lambda: a.max(), 5), 10))


def judge(numbers: Numbers) -> Outcome:
    """Judge the claim by the criterion in the module's docstring."""
    losses = {t["hidden"]: t["equal work"]["loss"] for t in numbers["trained"]}
    rates = {s["hidden"]: s["bytes_per_second"] for s in numbers["stepped"] if s["hidden"] in losses}
    best, fastest = min(losses, key=lambda h: losses[h]), max(rates, key=lambda h: rates[h])
    measured = (
        "at equal work, the loss is "
        + ", ".join(f"{loss:.2f} ({hidden} units)" for hidden, loss in losses.items())
        + "; a step moves "
        + ", ".join(f"{rate / 1e9:.1f} ({hidden} units)" for hidden, rate in rates.items())
        + f" GB/s, and the memory delivers {numbers['machine']['bytes_per_second'] / 1e9:.1f} GB/s."
    )
    (claimed,) = where(numbers["trained"], hidden=CLAIMED)
    quarter, equal = (claimed[name]["loss"] - min(t[name]["loss"] for t in numbers["trained"]) for name in COMPARED[1:])
    why = (
        f"At equal work, {best} units have the lowest loss, and {fastest} move the most bytes per second. {CLAIMED} "
        f"units are {quarter:.2f} nats behind the best size at a quarter of the work, and {equal:.2f} at equal work."
    )
    right = [best == CLAIMED, fastest == CLAIMED]
    return Outcome(numbers, measured, verdict(all(right), any(right)), "" if all(right) else why)


def tables(numbers: Numbers) -> list[Table]:
    """Return the training runs, the single steps, and the rates of the machine."""
    training = [
        [t["hidden"], name, *(t[name][key] for key in ("steps", "loss", "seconds")), _giga(t[name], "operations")]
        for name in COMPARED
        for t in numbers["trained"]
    ]
    reading = [[s["hidden"], s["seconds"] * 1e6, s["bytes"] / 1e3, _giga(s, "bytes")] for s in numbers["stepped"]]
    machine = [
        ["product of large matrices (GFLOP/s)", _giga(numbers["machine"], "operations")],
        ["reading memory (GB/s)", _giga(numbers["machine"], "bytes")],
    ]
    header = ["hidden units", "compared at", "steps", "loss (nats/character)", "CPU time (s)", "GFLOP/s"]
    return [
        Table("Training", header, training),
        Table("Reading one character", ["hidden units", "CPU time (µs)", "weights (kB)", "GB/s"], reading),
        Table("The machine, one thread", ["", "rate"], machine),
    ]


def _giga(numbers: Numbers, what: str) -> float:
    """Return billions of operations or bytes per second."""
    return float(numbers[f"{what}_per_second"]) / 1e9


@plots.style()
def draw(numbers: Numbers) -> Any:
    """Return a figure: the loss of each size, and the bytes per second of single steps and of the memory."""
    figure, (left, right) = plots.new_figure(columns=2)
    trained, stepped = numbers["trained"], numbers["stepped"]
    for k, name in enumerate(COMPARED):
        left.plot([t["hidden"] for t in trained], [t[name]["loss"] for t in trained], label=name, **plots.lines(k))
    right.plot(
        [s["hidden"] for s in stepped],
        [_giga(s, "bytes") for s in stepped],
        label="weights read in a step",
        **plots.lines(0),
    )
    right.axhline(_giga(numbers["machine"], "bytes"), color="0.4", linestyle="--", label="reading memory")
    left.set(xlabel="hidden units", ylabel="held-out loss (nats/character)")
    right.set(xlabel="hidden units", ylabel="GB/s, one character at a time", ylim=(0, None))
    for panel, rows in ((left, trained), (right, stepped)):
        plots.log_ticks(panel, [row["hidden"] for row in rows])
        panel.legend()
    return figure
