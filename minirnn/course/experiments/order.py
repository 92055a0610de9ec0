"""Can a network that doesn't know the order of the words tell "dog bites man" from "man bites dog"?

The claim. The course says: a bag of words, that is a sum of embeddings, loses the order of the words, and with it who
did what to whom and what "not" belongs to; a recurrent network, which reads one word after the other, keeps it.

The sentences are generated in pairs of the same words with opposite answers, of four kinds:

    who acts          the dog bites the man               the man bites the dog
    who acts, passive the dog is bitten by the man        the man is bitten by the dog
    not               the film is good , not bad          the film is bad , not good
    not, first        the film is not bad but good        the film is not good but bad

The question is: does an animal do it, or is it praise? It is always yes for one sentence of a pair and no for the
other. The two sentences of a pair have the same words equally often, so whatever looks at these alone gives both the
same answer and is right for exactly one of them: a bag can have 50 %, no more and no less, however long it learns.

What is done. A bag of embeddings with a hidden layer, an RNN and an LSTM learn the same pairs in the same order, and
are tested on pairs of which no network has seen the combination of words: a fifth of the combinations of animal, person
and deed, or of thing, praise and blame, is kept back, each with both of the pairs that it makes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn import nn, no_grad, plots, random
from minirnn.course.experiment import Effort, Outcome, Progress, Table
from minirnn.course.fitting import fit
from minirnn.course.sentences import PADDING, Vocabulary, WordReader
from minirnn.autograd import Tensor

CLAIM = (
    "A bag of words can't tell sentences apart that differ in the order of their words only; an RNN and an LSTM can."
)
SOURCE = "The course's introduction to sequence models."

ANIMALS = ("dog", "cat", "horse", "goose", "wolf", "monkey", "donkey", "swan")
PEOPLE = ("man", "woman", "child", "farmer", "doctor", "pilot", "baker", "teacher")
DEEDS = (("bites", "bitten"), ("sees", "seen"), ("follows", "followed"), ("likes", "liked"), ("pushes", "pushed"))
THINGS = ("film", "book", "song", "meal", "play", "hotel", "concert", "lecture")
GOOD = ("good", "great", "lovely", "funny", "clever", "fresh", "warm")
BAD = ("bad", "dull", "awful", "boring", "stupid", "stale", "cold")

KINDS = ("who acts", "who acts, passive", "not", "not, first")
LEARNT, CHANCE = 0.95, 0.5
HELD_BACK = 5  # one combination in so many
PAIRS = 16  # in a batch

Words = list[str]


@dataclass(frozen=True)
class Pair:
    """Two sentences of the same words, the first of which is to be answered with yes and the second with no.

    Two kinds of pairs are made of each combination: (animal, person, deed) or (thing, good, bad).
    """

    kind: str
    combination: tuple[str, str, str]
    yes: Words
    no: Words


def all_pairs() -> list[Pair]:
    """Every pair there is, kind by kind."""
    pairs = []
    for animal, person, (does, done) in itertools.product(ANIMALS, PEOPLE, DEEDS):
        combination = (animal, person, does)
        pairs.append(_pair("who acts", combination, f"the {{}} {does} the {{}}", animal, person))
        pairs.append(_pair("who acts, passive", combination, f"the {{}} is {done} by the {{}}", person, animal))
    for combination in itertools.product(THINGS, GOOD, BAD):
        thing, good, bad = combination
        pairs.append(_pair("not", combination, f"the {thing} is {{}} , not {{}}", good, bad))
        pairs.append(_pair("not, first", combination, f"the {thing} is not {{}} but {{}}", bad, good))
    return sorted(pairs, key=lambda pair: KINDS.index(pair.kind))


def _pair(kind: str, combination: tuple[str, str, str], pattern: str, one: str, other: str) -> Pair:
    return Pair(kind, combination, pattern.format(one, other).split(), pattern.format(other, one).split())


def split(pairs: Sequence[Pair], rng: np.random.Generator) -> tuple[list[Pair], list[Pair]]:
    """The pairs to learn, and those to be tested with, which are all pairs of a fifth of the combinations."""
    combinations = list(dict.fromkeys(pair.combination for pair in pairs))
    chosen = rng.permutation(len(combinations))[: len(combinations) // HELD_BACK]
    kept_back = {combinations[k] for k in chosen}
    train = [pair for pair in pairs if pair.combination not in kept_back]
    return train, [pair for pair in pairs if pair.combination in kept_back]


class Bag(nn.Module):
    """The sum of the words' embeddings, then one hidden layer: ids (T, B) -> scores for no and yes (B, 2).

    The ids are sorted first. That changes nothing in a sum but its rounding, which would else depend on the order.
    """

    def __init__(self, vocabulary: int, embedding: int, hidden: int) -> None:
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.layers = nn.Sequential(nn.Linear(embedding, hidden), nn.Tanh(), nn.Linear(hidden, 2))

    def forward(self, ids: Any) -> Tensor:
        words = np.sort(ids, axis=0)
        embedded: Any = self.embedding(words) * (words != PADDING)[..., None].astype(np.float32)
        return self.layers(embedded.sum(axis=0))


class Recurrent(nn.Module):
    """An RNN or LSTM, asked after the last word: ids (T, B) -> scores for no and yes (B, 2)."""

    def __init__(self, vocabulary: int, cell: str, embedding: int, hidden: int) -> None:
        self.reader = WordReader(vocabulary, cell, embedding, hidden)

    def forward(self, ids: Any) -> Tensor:
        last = (ids != PADDING).sum(axis=0) - 1
        return self.reader(ids)[last, np.arange(ids.shape[1])]


NETWORKS = {"bag": "", "RNN": "rnn", "LSTM": "lstm"}
VOCABULARY = Vocabulary([pair.yes for pair in all_pairs()])


def network(name: str, hidden: int) -> nn.Module:
    """A fresh network of this name."""
    cell = NETWORKS[name]
    return Recurrent(VOCABULARY.size, cell, 16, hidden) if cell else Bag(VOCABULARY.size, 16, hidden)


def encode(pairs: Sequence[Pair]) -> tuple[Any, Any]:
    """ids (T, 2N) and answers (2N,): the sentences to say yes to, then their partners."""
    ids, _ = VOCABULARY.encode([pair.yes for pair in pairs] + [pair.no for pair in pairs])
    return ids, np.repeat([1, 0], len(pairs))


def right(model: nn.Module, pairs: Sequence[Pair]) -> Any:
    """For each pair, how many of its two sentences are answered rightly: (N,) of 0, 1 and 2."""
    ids, answers = encode(pairs)
    with no_grad():
        return (model(ids).data.argmax(axis=1) == answers).reshape(2, -1).sum(axis=0)


def learn(name: str, sides: tuple[list[Pair], list[Pair]], seed: int, steps: int, told: Any) -> dict[str, Any]:
    """Train it: the curve [[steps, test accuracy], ...], and the accuracy in the end for each kind and over all."""
    train, test = sides
    random.manual_seed(seed)
    model = network(name, 32)
    rng = np.random.default_rng([seed, 1])

    def loss_of(step: int) -> Tensor:
        ids, answers = encode([train[k] for k in rng.integers(len(train), size=PAIRS)])
        return nn.cross_entropy(model(ids), answers)

    curve = [[0, float(right(model, test).mean()) / 2]]

    def after(step: int, loss: float) -> None:
        told(step / steps)
        if step % max(1, steps // 25) == 0:
            curve.append([step, float(right(model, test).mean()) / 2])

    fit(model, loss_of, steps, told=after)
    answered = right(model, test)
    return {
        "network": name,
        "seed": seed,
        "curve": curve,
        "accuracy": float(answered.mean()) / 2,
        "one_right": float((answered == 1).mean()),
        "learnt": float(right(model, train).mean()) / 2,
        "by_kind": {kind: float(answered[[pair.kind == kind for pair in test]].mean()) / 2 for kind in KINDS},
    }


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Let each network learn the same pairs, and judge."""
    steps, seeds = {"quick": (300, 1), "default": (600, 5), "full": (3000, 10)}[effort]
    todo = list(itertools.product(range(seed, seed + seeds), NETWORKS))
    results = []
    for k, (s, name) in enumerate(todo):
        sides = split(all_pairs(), np.random.default_rng(s))
        results.append(
            learn(name, sides, s, steps, lambda done, k=k, name=name: progress((k + done) / len(todo), name))
        )
    return judged(results, steps)


def judged(results: list[dict[str, Any]], steps: int) -> Outcome:
    """Held: the bag is at 50 %, RNN and LSTM above 95 % with each seed. In part: one of the two is not.

    The bag may be 1 point off, since where its two scores are nearly equal, their rounding decides.
    """
    accuracies = {name: [r["accuracy"] for r in results if r["network"] == name] for name in NETWORKS}
    failed = [name for name in ("RNN", "LSTM") if min(accuracies[name]) < LEARNT]
    blind = all(abs(share - CHANCE) <= 0.01 for share in accuracies["bag"])
    why = [f"{name} had {100 * min(accuracies[name]):.1f} % with its worst seed." for name in failed]
    if not blind:
        why.append("The bag was not at 50 %.")
    measured = ", ".join(f"{name} {100 * float(np.mean(a)):.1f} %" for name, a in accuracies.items())
    verdict: Any = "held" if not why else "held in part" if blind and len(failed) == 1 else "did not hold"
    train, test = split(all_pairs(), np.random.default_rng(0))  # of the same sizes with every seed
    numbers = {
        "results": results,
        "steps": steps,
        "train_pairs": len(train),
        "test_pairs": len(test),
        "examples": examples(),
    }
    said = (
        f"right on {numbers['test_pairs']} pairs of unseen combinations (seeds: {len(accuracies['RNN'])}): {measured}."
    )
    return Outcome(numbers, said, verdict, " ".join(why))


def examples() -> list[list[str]]:
    """For each kind its name and a pair."""
    first = {pair.kind: pair for pair in reversed(all_pairs())}
    return [[kind, " ".join(first[kind].yes), " ".join(first[kind].no)] for kind in KINDS]


def tables(numbers: Mapping[str, Any]) -> list[Table]:
    """The kinds of pairs, and what each network got right."""
    rows: list[list[str]] = []
    for name in NETWORKS:
        own = [r for r in numbers["results"] if r["network"] == name]
        shares = [np.mean([r["by_kind"][kind] for r in own]) for kind in KINDS]
        shares += [np.mean([r[key] for r in own]) for key in ("accuracy", "one_right", "learnt")]
        rows.append([name, *(f"{100 * share:.1f} %" for share in shares)])
    header = ["network", *KINDS, "all", "one of two", "training"]
    return [
        Table("Pairs of the same words", ["kind", "yes", "no"], numbers["examples"]),
        Table(
            "Right answers on unseen combinations, mean over the seeds (chance: 50 %); pairs with one of two right; "
            "right on the training pairs",
            header,
            rows,
        ),
    ]


@plots.style()
def draw(numbers: Mapping[str, Any]) -> Any:
    """Accuracy on unseen pairs while learning (a line for each seed), and in the end for each kind."""
    figure, (curves, bars) = plots.new_figure(7.0, 3.2, 1, 2, sharey=True)
    hatches = ("", "//", "..")
    for k, name in enumerate(NETWORKS):
        look = plots.lines(k)
        own = [r for r in numbers["results"] if r["network"] == name]
        for j, r in enumerate(own):
            steps, shares = zip(*r["curve"], strict=True)
            curves.plot(steps, [100 * s for s in shares], label=None if j else name, **look | {"linewidth": 0.9})
        means = [100 * float(np.mean([r["by_kind"][kind] for r in own])) for kind in KINDS]
        places = np.arange(len(KINDS)) + 0.27 * (k - 1)
        bars.bar(places, means, 0.25, color=("0.85", "0.65", "1.0")[k], edgecolor="black", hatch=hatches[k], label=name)
    for panel in (curves, bars):
        panel.axhline(50, color="0.4", linewidth=0.8)
        panel.set_ylim(0, 127)
        panel.set_yticks(range(0, 101, 20))
    curves.text(numbers["steps"], 48, "chance", fontsize=7.5, ha="right", va="top")
    curves.set(xlabel="training step", ylabel="right on unseen pairs (%)", title="while learning")
    bars.set_xticks(range(len(KINDS)), [kind.replace(", ", ",\n") for kind in KINDS])
    bars.set(title="in the end, by kind of pair")
    bars.grid(axis="x", visible=False)
    for panel in (curves, bars):
        panel.legend(loc="upper center", ncols=3, columnspacing=0.9, handlelength=2.2, fontsize=7.5, frameon=False)
    return figure
