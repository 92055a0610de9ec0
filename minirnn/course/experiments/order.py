"""Can a network that ignores word order tell "dog bites man" from "man bites dog"?

The claim. The course says: a bag of words, the sum of the words' embeddings, loses word order. It cannot represent the
roles of the words ("who did what to whom") or the word that "not" refers to. A recurrent network reads the words in
order and keeps this information.

The sentences are generated in pairs with the same words and opposite answers. There are four kinds of pairs:

    who acts          the dog bites the man               the man bites the dog
    who acts, passive the dog is bitten by the man        the man is bitten by the dog
    not               the film is good , not bad          the film is bad , not good
    not, first        the film is not bad but good        the film is not good but bad

The question is "does an animal act?" or "is it praise?". The answer is yes for one sentence of a pair and no for the
other. Both sentences contain each word equally often. A model that only counts words gives them the same answer and is
right about exactly one of them, so a bag of words has an accuracy of 50%, however long it is trained.

The method. A bag of embeddings with a hidden layer, an RNN and an LSTM are trained on the same pairs in the same order.
The test uses combinations of words that no network saw in training: a fifth of the combinations of animal, person and
deed, and of thing, praise and blame, is held out, including both pairs made from each combination.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn import Tensor, nn, no_grad, plots, random
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table, percent, tracked, verdict, where
from minirnn.course.fitting import fit_with_curve
from minirnn.course.sentences import PADDING, WordIds, WordReader

CLAIM = "A bag of words can't distinguish sentences that differ only in word order; an RNN and an LSTM can."
SOURCE = "The course's introduction to sequence models."

ANIMALS = ("dog", "cat", "horse", "goose", "wolf", "monkey", "donkey", "swan")
PEOPLE = ("man", "woman", "child", "farmer", "doctor", "pilot", "baker", "teacher")
DEEDS = (("bites", "bitten"), ("sees", "seen"), ("follows", "followed"), ("likes", "liked"), ("pushes", "pushed"))
THINGS = ("film", "book", "song", "meal", "play", "hotel", "concert", "lecture")
GOOD = ("good", "great", "lovely", "funny", "clever", "fresh", "warm")
BAD = ("bad", "dull", "awful", "boring", "stupid", "stale", "cold")

PAIR_KINDS = ("who acts", "who acts, passive", "not", "not, first")
LEARNT, CHANCE = 0.95, 0.5  # accuracies
HELD_OUT = 5  # one combination in this many is held out
PAIRS = 16  # in a batch
EFFORTS = {"quick": (300, 1), "default": (600, 5), "full": (3000, 10)}  # training steps, seeds


@dataclass(frozen=True)
class Pair:
    """Two sentences with the same words; the answer is yes for the first and no for the second.

    Each combination, (animal, person, deed) or (thing, good, bad), gives two kinds of pairs.
    """

    kind: str
    combination: tuple[str, str, str]
    yes: list[str]
    no: list[str]


def all_pairs() -> list[Pair]:
    """Return all pairs, kind by kind."""
    pairs = []
    for animal, person, (does, done) in itertools.product(ANIMALS, PEOPLE, DEEDS):
        combination = (animal, person, does)
        pairs.append(_pair("who acts", combination, f"the {{}} {does} the {{}}", animal, person))
        pairs.append(_pair("who acts, passive", combination, f"the {{}} is {done} by the {{}}", person, animal))
    for combination in itertools.product(THINGS, GOOD, BAD):
        thing, good, bad = combination
        pairs.append(_pair("not", combination, f"the {thing} is {{}} , not {{}}", good, bad))
        pairs.append(_pair("not, first", combination, f"the {thing} is not {{}} but {{}}", bad, good))
    return sorted(pairs, key=lambda pair: PAIR_KINDS.index(pair.kind))


def _pair(kind: str, combination: tuple[str, str, str], pattern: str, one: str, other: str) -> Pair:
    return Pair(kind, combination, pattern.format(one, other).split(), pattern.format(other, one).split())


def split(pairs: Sequence[Pair], rng: np.random.Generator) -> tuple[list[Pair], list[Pair]]:
    """Return the training pairs and the test pairs, which are all pairs of a fifth of the combinations."""
    combinations = list(dict.fromkeys(pair.combination for pair in pairs))
    held_out = {combinations[k] for k in rng.permutation(len(combinations))[: len(combinations) // HELD_OUT]}
    train = [pair for pair in pairs if pair.combination not in held_out]
    return train, [pair for pair in pairs if pair.combination in held_out]


class Bag(nn.Module):
    """The sum of the words' embeddings, then one hidden layer: ids (T, B) -> scores for no and yes (B, 2).

    The ids are sorted first. Sorting changes only the rounding of the sum, which would otherwise depend on word order.
    """

    def __init__(self, vocabulary: int, embedding: int, hidden: int) -> None:
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.layers = nn.Sequential(nn.Linear(embedding, hidden), nn.Tanh(), nn.Linear(hidden, 2))

    def forward(self, ids: Any) -> Tensor:
        words = np.sort(ids, axis=0)
        embedded: Any = self.embedding(words) * (words != PADDING)[..., None].astype(np.float32)
        return self.layers(embedded.sum(axis=0))


class Recurrent(nn.Module):
    """An RNN or LSTM, and its scores for no and yes after the last word: ids (T, B) -> (B, 2)."""

    def __init__(self, vocabulary: int, cell: str, embedding: int, hidden: int) -> None:
        self.reader = WordReader(vocabulary, cell, embedding, hidden)

    def forward(self, ids: Any) -> Tensor:
        last = (ids != PADDING).sum(axis=0) - 1
        return self.reader(ids)[last, np.arange(ids.shape[1])]


NETWORKS = {"bag": "", "RNN": "rnn", "LSTM": "lstm"}
VOCABULARY = WordIds([pair.yes for pair in all_pairs()])


def network(name: str, hidden: int) -> nn.Module:
    """Return a new network of this name."""
    cell = NETWORKS[name]
    return Recurrent(VOCABULARY.size, cell, 16, hidden) if cell else Bag(VOCABULARY.size, 16, hidden)


def encode(pairs: Sequence[Pair]) -> tuple[Any, Any]:
    """Return ids (T, 2N) and answers (2N,): the sentences with the answer yes, then those with the answer no."""
    ids = VOCABULARY.encode([pair.yes for pair in pairs] + [pair.no for pair in pairs])
    return ids, np.repeat([1, 0], len(pairs))


def right(model: nn.Module, pairs: Sequence[Pair]) -> Any:
    """Return how many of each pair's two sentences are answered correctly: (N,) of 0, 1 and 2."""
    ids, answers = encode(pairs)
    with no_grad():
        return (model(ids).data.argmax(axis=1) == answers).reshape(2, -1).sum(axis=0)


def learn(
    name: str, sides: tuple[list[Pair], list[Pair]], seed: int, steps: int, report: Callable[[float], object]
) -> dict[str, Any]:
    """Train a network and return its learning curve [[steps, test accuracy], ...] and its final accuracies."""
    train, test = sides
    random.manual_seed(seed)
    model = network(name, 32)
    rng = np.random.default_rng([seed, 1])

    def loss_of(step: int) -> Tensor:
        ids, answers = encode([train[k] for k in rng.integers(len(train), size=PAIRS)])
        return nn.cross_entropy(model(ids), answers)

    _, curve = fit_with_curve(
        model, loss_of, steps, lambda: float(right(model, test).mean()) / 2, max(1, steps // 25), report
    )
    answered = right(model, test)
    return {
        "network": name,
        "seed": seed,
        "curve": curve,
        "accuracy": float(answered.mean()) / 2,
        "one_right": float((answered == 1).mean()),
        "learnt": float(right(model, train).mean()) / 2,
        "by_kind": {kind: float(answered[[pair.kind == kind for pair in test]].mean()) / 2 for kind in PAIR_KINDS},
    }


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Train each network on the same pairs with each seed, and judge the claim."""
    steps, seeds = EFFORTS[effort]
    todo = list(itertools.product(range(seed, seed + seeds), NETWORKS))
    results = [
        learn(name, split(all_pairs(), np.random.default_rng(s)), s, steps, report)
        for (s, name), report in tracked(todo, progress, lambda item: item[1])
    ]
    return judge(results, steps)


def judge(results: list[dict[str, Any]], steps: int) -> Outcome:
    """Judge the claim: it held if the bag is at 50%, and the RNN and LSTM are above 95% with every seed.

    It held in part if only one of these two networks is below 95%. The bag can be off by 1 point: if its two scores are
    nearly equal, rounding decides.
    """
    accuracies = {name: [r["accuracy"] for r in where(results, network=name)] for name in NETWORKS}
    failed = [name for name in ("RNN", "LSTM") if min(accuracies[name]) < LEARNT]
    blind = all(abs(share - CHANCE) <= 0.01 for share in accuracies["bag"])
    why = [f"The {name} reached {percent(min(accuracies[name]), 1)} with its worst seed." for name in failed]
    why += [] if blind else ["The bag was not at 50%."]
    train, test = split(all_pairs(), np.random.default_rng(0))  # the sizes are the same for every seed
    numbers = {
        "results": results,
        "steps": steps,
        "train_pairs": len(train),
        "test_pairs": len(test),
        "examples": examples(),
    }
    measured = (
        f"accuracy on {len(test)} pairs of held-out combinations (seeds: {len(accuracies['RNN'])}): "
        + ", ".join(f"{name} {percent(float(np.mean(a)), 1)}" for name, a in accuracies.items())
        + "."
    )
    return Outcome(numbers, measured, verdict(not why, blind and len(failed) == 1), " ".join(why))


def examples() -> list[list[str]]:
    """Return the name of each kind and one pair of this kind."""
    first = {pair.kind: pair for pair in reversed(all_pairs())}
    return [[kind, " ".join(first[kind].yes), " ".join(first[kind].no)] for kind in PAIR_KINDS]


def tables(numbers: Numbers) -> list[Table]:
    """Return the kinds of pairs, and the accuracy of each network."""
    rows = []
    for name in NETWORKS:
        own = where(numbers["results"], network=name)
        shares = [np.mean([r["by_kind"][kind] for r in own]) for kind in PAIR_KINDS]
        shares += [np.mean([r[key] for r in own]) for key in ("accuracy", "one_right", "learnt")]
        rows.append([name, *(percent(float(share), 1) for share in shares)])
    return [
        Table("Pairs of sentences with the same words", ["kind", "yes", "no"], numbers["examples"]),
        Table(
            "Accuracy on held-out combinations, mean over the seeds (chance: 50%); the share of pairs with exactly one "
            "correct answer; accuracy on the training pairs",
            ["network", *PAIR_KINDS, "all", "one of two", "training"],
            rows,
        ),
    ]


@plots.style()
def draw(numbers: Numbers) -> Any:
    """Return a figure of the accuracy on held-out pairs: during training, a line per seed, and at the end by kind."""
    figure, (curves, bars) = plots.new_figure(7.0, 3.2, 1, 2, sharey=True)
    for k, (name, shade, hatch) in enumerate(zip(NETWORKS, ("0.85", "0.65", "1.0"), ("", "//", ".."), strict=True)):
        own = where(numbers["results"], network=name)
        plots.draw_seeds(curves, [r["curve"] for r in own], k, name)
        means = [100 * float(np.mean([r["by_kind"][kind] for r in own])) for kind in PAIR_KINDS]
        places = np.arange(len(PAIR_KINDS)) + 0.27 * (k - 1)
        bars.bar(places, means, 0.25, color=shade, edgecolor="black", hatch=hatch, label=name)
    for panel in (curves, bars):
        panel.axhline(50, color="0.4", linewidth=0.8)
        panel.set(ylim=(0, 127), yticks=range(0, 101, 20))
        panel.legend(loc="upper center", ncols=3, columnspacing=0.9, handlelength=2.2, fontsize=7.5, frameon=False)
    curves.text(numbers["steps"], 48, "chance", fontsize=7.5, ha="right", va="top")
    curves.set(xlabel="training step", ylabel="accuracy on held-out pairs (%)", title="during training")
    bars.set(title="after training, by kind of pair", xticks=range(len(PAIR_KINDS)))
    bars.set_xticklabels([kind.replace(", ", ",\n") for kind in PAIR_KINDS])
    bars.grid(axis="x", visible=False)
    return figure
