"""Does a network carry a subject's number across nested clauses to its verb?

The claim. "The student who the professor who won the Nobel Prize taught **was** brilliant": two clauses with their own
subjects and verbs separate the subject from its verb. The course says that an LSTM keeps the information needed to
choose "was" over such a distance, and that a simple RNN does not. (Elman asked this question in 1991. Linzen, Dupoux
and Goldberg measured in 2016 that nouns between a subject and its verb, called attractors, mislead networks.)

The sentences are generated, in the present tense, so that each verb shows its number:

    the poets near the lawyer who the student who admires the farmers teaches are kind

A subject can be followed by a phrase ("near the lawyer") and by a clause that begins with "who" and ends before the
subject's verb. The subject of that clause can be followed by another clause, and so on. The depth of a verb is the
number of nested clauses between the verb and its subject. Each noun is singular or plural with equal probability. If
words separate a verb from its subject, the last noun before the verb therefore has the verb's number about half the
time. Neither this noun nor the first noun of the sentence determines the numbers of all verbs: the network has to keep
several numbers at once, and use them in the reverse order.

The method. A network reads the words and, before each verb, predicts whether the verb is plural. It is trained on newly
generated sentences of depths 0 to 2 and tested on depths 0 to 5, of which depths 3 to 5 do not occur in training. The
accuracy is reported by depth and by distance, the number of words from the subject to its verb. It covers the verbs
that words separate from their subject, and is also given separately for the verbs whose last noun has the other number,
where the rule "agree with the last noun" is always wrong. Chance is 50%. The networks are an RNN, a GRU and an LSTM
with 64 units and, because a gated unit has three or four times as many weights, an RNN with 128 units.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn import Tensor, nn, no_grad, plots, random
from minirnn.course.experiment import Effort, Numbers, Outcome, Progress, Table, percent, tracked, verdict, where
from minirnn.course.fitting import fit
from minirnn.course.sentences import WordIds, WordReader

CLAIM = "An LSTM carries the subject's number across nested clauses to the verb; a simple RNN loses it."
SOURCE = "The course's lecture on long-term dependencies; Elman 1991; Linzen, Dupoux and Goldberg 2016."

NOUNS = ("student", "professor", "poet", "doctor", "singer", "farmer", "lawyer", "painter", "pilot", "neighbour")
VERBS = (  # singular, plural
    ("admires", "admire"),
    ("teaches", "teach"),
    ("likes", "like"),
    ("visits", "visit"),
    ("helps", "help"),
    ("trusts", "trust"),
)
BE = ("is", "are")
PLACES = ("near", "behind", "below")
ADJECTIVES = ("brilliant", "kind", "tired", "famous", "cheerful", "honest")

SEEN, TESTED = 2, 5  # the greatest depths in training and in the test
BATCH = 32
CARRIED = 0.9  # a network carries the number if its accuracy on misleading last nouns is at least this
DEPTHS = (f"sentences of 1 to {SEEN} clauses, as in training", f"sentences of {SEEN + 1} to {TESTED} clauses")
BINS = ((2, 3), (4, 5), (6, 8), (9, 12), (13, 18), (19, 26), (27, 40))  # first and last distance, in words
EFFORTS = {  # training steps, test sentences per depth, seeds
    "quick": (250, 100, 1),
    "default": (1500, 500, 1),
    "full": (10_000, 2000, 5),
}


@dataclass(frozen=True)
class Verb:
    """A verb in a sentence: the positions of the verb and its subject, the depth, and whether three nouns are plural.

    `plural` says whether the verb and its subject are plural.
    """

    at: int
    subject: int
    depth: int
    plural: bool
    last_noun_plural: bool
    first_noun_plural: bool

    @property
    def distance(self) -> int:
        """The number of words from the subject to the verb."""
        return self.at - self.subject


class _Writer:
    """Writes a sentence word by word and records its nouns and verbs."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.words: list[str] = []
        self.nouns: list[tuple[int, bool]] = []  # position, whether plural
        self.verbs: list[Verb] = []

    def pick(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def noun(self) -> tuple[int, bool]:
        """Write a noun, singular or plural with equal probability; return its position and whether it is plural."""
        plural = bool(self.rng.integers(2))
        self.words += ["the", self.pick(NOUNS) + "s" * plural]
        self.nouns.append((len(self.words) - 1, plural))
        return self.nouns[-1]

    def verb(self, subject: tuple[int, bool], depth: int, forms: tuple[str, str]) -> None:
        position, plural = subject
        self.verbs.append(Verb(len(self.words), position, depth, plural, self.nouns[-1][1], self.nouns[0][1]))
        self.words.append(forms[plural])


def sentence(rng: np.random.Generator, depth: int) -> tuple[list[str], list[Verb]]:
    """Return a sentence with `depth` nested clauses, and its verbs in the order of the words."""
    writer = _Writer(rng)
    ends_with_object = depth > 0 and bool(rng.integers(2))  # the innermost clause is "who admires the poets"
    subjects = []
    for level in range(depth + 1 - ends_with_object):
        writer.words += ["who"] * (level > 0)
        subjects.append(writer.noun())
        last = ends_with_object and level == depth - 1  # the clause after "near the poet" could refer to the poet
        if not last and rng.random() < 0.4:
            writer.words.append(writer.pick(PLACES))
            writer.noun()
    if ends_with_object:
        writer.words.append("who")
        writer.verb(subjects[-1], 0, writer.pick(VERBS))
        writer.noun()
    while subjects:
        forms = writer.pick(VERBS) if len(subjects) > 1 else BE
        writer.verb(subjects.pop(), depth - len(subjects), forms)
    writer.words.append(writer.pick(ADJECTIVES))
    return writer.words, writer.verbs


VOCABULARY = WordIds([("the", "who", *NOUNS, *(noun + "s" for noun in NOUNS)), *VERBS, BE, PLACES, ADJECTIVES])


def batch(rng: np.random.Generator, count: int, depths: Sequence[int]) -> tuple[Any, list[Verb], tuple[Any, Any]]:
    """Return ids (T, count), the verbs of all sentences, and an index (steps, columns) of the predictions.

    The number of a verb is predicted at the word before it.
    """
    made = [sentence(rng, int(rng.choice(depths))) for _ in range(count)]
    ids = VOCABULARY.encode([words for words, _ in made])
    verbs = [verb for _, own in made for verb in own]
    columns = np.repeat(np.arange(count), [len(own) for _, own in made])
    return ids, verbs, (np.array([verb.at - 1 for verb in verbs]), columns)


NETWORKS = {"RNN": ("rnn", 64), "RNN, 128 units": ("rnn", 128), "GRU": ("gru", 64), "LSTM": ("lstm", 64)}
RULES = {"last noun": "last_noun_plural", "first noun": "first_noun_plural"}


def trained(network: str, seed: int, steps: int, report: Callable[[float], object]) -> WordReader:
    """Return a network trained for `steps` batches of depths 0 to SEEN; every network sees the same batches."""
    random.manual_seed(seed)
    cell, hidden = NETWORKS[network]
    model = WordReader(VOCABULARY.size, cell, 32, hidden)
    rng = np.random.default_rng([seed, 1])

    def loss_of(step: int) -> Tensor:
        ids, verbs, index = batch(rng, BATCH, range(SEEN + 1))
        return nn.cross_entropy(model(ids)[index], np.array([verb.plural for verb in verbs], np.int64))

    fit(model, loss_of, steps, told=lambda step: report(step / steps))
    return model


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Train each network on shallow sentences, test it on shallow and deeper ones, and judge the claim."""
    steps, sentences, seeds = EFFORTS[effort]
    tests = [
        (depth, *batch(np.random.default_rng([seed, 2, depth]), sentences, [depth])) for depth in range(TESTED + 1)
    ]
    answers: list[dict[str, Any]] = []
    todo = list(itertools.product(range(seed, seed + seeds), NETWORKS))
    for (s, network), report in tracked(todo, progress, lambda item: item[1]):
        model = trained(network, s, steps, report)
        for depth, ids, verbs, index in tests:
            with no_grad():
                plural = model(ids).data[index].argmax(-1)
            answers += rows(network, depth, verbs, plural.astype(bool))
    for rule, name in RULES.items():
        for depth, _, verbs, _ in tests:
            answers += rows(rule, depth, verbs, [getattr(verb, name) for verb in verbs])
    return judge(answers, steps, seeds)


def rows(who: str, depth: int, verbs: Sequence[Verb], plural: Sequence[Any]) -> list[dict[str, Any]]:
    """Return one row per verb that words separate from its subject, with the answer of a network or rule, `who`."""
    return [
        {
            "who": who,
            "sentence_depth": depth,
            "depth": verb.depth,
            "distance": verb.distance,
            "misled": verb.last_noun_plural != verb.plural,
            "right": bool(answer) == verb.plural,
        }
        for verb, answer in zip(verbs, plural, strict=True)
        if verb.distance > 1
    ]


def judge(answers: Sequence[Numbers], steps: int, seeds: int) -> Outcome:
    """Judge the claim by the verbs with a misleading last noun, in sentences of the trained depths and in deeper ones.

    The claim held if the LSTM carries the number at the trained and at the greater depths, and the RNN at neither. It
    held in part if the LSTM carries the number at the trained depths and is `ahead` of the RNN in at least one group.
    Verbs that only a phrase separates from their subject are not counted.
    """
    right = {deep: {who: nested_and_misled(answers, who, deep) for who in NETWORKS} for deep in (False, True)}
    seen, deeper = ({who: float(np.mean(r)) for who, r in right[deep].items()} for deep in (False, True))
    simple = [who for who in NETWORKS if who.startswith("RNN")]
    best = [max(share[who] for who in simple) for share in (seen, deeper)]
    carried = [share["LSTM"] >= CARRIED for share in (seen, deeper)]
    ahead_somewhere = any(all(ahead(own["LSTM"], own[who]) for who in simple) for own in right.values())
    why = [
        f"The LSTM is right for only {percent(share['LSTM'], 1)} of these verbs in {depth}."
        for share, depth in zip((seen, deeper), DEPTHS, strict=True)
        if share["LSTM"] < CARRIED
    ] + [
        f"The RNN also carries the number in {depth}: {percent(share, 1)}."
        for share, depth in zip(best, DEPTHS, strict=True)
        if share >= CARRIED
    ]
    shares = ", ".join(f"{who} {percent(seen[who], 1)} and {percent(deeper[who], 1)}" for who in NETWORKS)
    numbers = {
        "steps": steps,
        "seeds": seeds,
        "seen_depth": SEEN,
        "by_depth": by(answers, "sentence_depth", [(depth, depth) for depth in range(TESTED + 1)]),
        "by_distance_seen": by([a for a in answers if a["sentence_depth"] <= SEEN], "distance", BINS),
        "by_distance_deeper": by([a for a in answers if a["sentence_depth"] > SEEN], "distance", BINS),
        "examples": examples(),
    }
    measured = f"accuracy on verbs with a misleading last noun in {DEPTHS[0]}, and in {DEPTHS[1]}: {shares}."
    return Outcome(numbers, measured, verdict(not why, carried[0] and ahead_somewhere), " ".join(why))


def nested_and_misled(answers: Sequence[Numbers], who: str, deep: bool) -> list[bool]:
    """Return whether each answer was correct, for verbs after a clause and with a misleading last noun.

    deep: whether the sentences are deeper than in training.
    """
    return [
        a["right"]
        for a in where(answers, who=who, misled=True)
        if a["depth"] > 0 and (a["sentence_depth"] > SEEN) == deep
    ]


def ahead(one: Sequence[bool], other: Sequence[bool]) -> bool:
    """Return whether the first share of correct answers exceeds the second by more than two standard errors.

    The standard error is that of the difference of two such shares. It covers the random choice of the test verbs, but
    not the variation between training seeds.
    """
    error = math.sqrt(np.var(one) / len(one) + np.var(other) / len(other))
    return bool(np.mean(one) - np.mean(other) > 2 * error)


def by(answers: Sequence[Numbers], key: str, bins: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """Return the number of verbs and the accuracy of each network or rule in each bin of `key`.

    The accuracy is given for all verbs of the bin and for those with a misleading last noun; None without verbs.
    """
    found = []
    for who, (low, high) in itertools.product(dict.fromkeys(a["who"] for a in answers), bins):
        own = [a for a in where(answers, who=who) if low <= a[key] <= high]
        misled = where(own, misled=True)
        found.append(
            {
                "who": who,
                "from": low,
                "to": high,
                "verbs": len(own),
                "right": _accuracy(own),
                "misled_verbs": len(misled),
                "misled_right": _accuracy(misled),
            }
        )
    return found


def _accuracy(answers: Sequence[Numbers]) -> float | None:
    return float(np.mean([a["right"] for a in answers])) if answers else None


def examples() -> list[dict[str, Any]]:
    """Return one sentence of each depth from 0 to 3; the sentences are the same in every call."""
    made = [sentence(np.random.default_rng([10, depth]), depth) for depth in range(4)]
    return [
        {
            "sentence": " ".join(words),
            "agree": ", ".join(f"{words[verb.subject]} {words[verb.at]}" for verb in verbs),
            "distance": verbs[-1].distance,
        }
        for words, verbs in made
    ]


def tables(numbers: Numbers) -> list[Table]:
    """Return the example sentences, and the accuracy by depth and by distance."""
    shown = [
        Table(
            "Examples: each verb agrees with its subject",
            ["sentence", "subjects and verbs", "distance"],
            [[e["sentence"], e["agree"], e["distance"]] for e in numbers["examples"]],
        )
    ]
    for key, name, title in (
        ("by_depth", "right", "all verbs separated from their subject, by clauses in the sentence"),
        ("by_depth", "misled_right", "misleading last noun, by clauses in the sentence"),
        ("by_distance_seen", "misled_right", f"misleading last noun, by words from subject to verb, in {DEPTHS[0]}"),
        ("by_distance_deeper", "misled_right", f"misleading last noun, by words from subject to verb, in {DEPTHS[1]}"),
    ):
        bins = list(dict.fromkeys((c["from"], c["to"]) for c in numbers[key] if c[name] is not None))
        accuracies = [
            [who, *(percent(c[name], 1) for c in where(numbers[key], who=who) if (c["from"], c["to"]) in bins)]
            for who in dict.fromkeys(c["who"] for c in numbers[key])
        ]
        header = ["network or rule", *(str(low) if low == high else f"{low}-{high}" for low, high in bins)]
        shown.append(Table(f"Accuracy (chance: 50%): {title}", header, accuracies))
    return shown


@plots.style()
def draw(numbers: Numbers) -> Any:
    """Return a figure of the accuracy with a misleading last noun: by depth, and by distance in deeper sentences."""
    figure, (depths, distances) = plots.new_figure(7.0, 3.2, 1, 2, sharey=True)
    for panel, key in ((depths, "by_depth"), (distances, "by_distance_deeper")):
        for k, who in enumerate(dict.fromkeys(c["who"] for c in numbers[key])):
            own = [c for c in where(numbers[key], who=who) if c["misled_right"] is not None]
            middles = [(c["from"] + c["to"]) / 2 for c in own]
            panel.plot(middles, [100 * c["misled_right"] for c in own], label=who, **plots.lines(k))
        panel.axhline(50, color="0.5", linewidth=0.8)
        panel.set_ylim(-5, 115)
    left, right = depths.get_xlim()
    edge = numbers["seen_depth"] + 0.5
    depths.axvspan(edge, right, color="0.93", zorder=0)
    depths.set_xlim(left, right)
    note = {"ha": "center", "va": "center", "fontsize": 7.5}
    depths.text((edge + right) / 2, 108, "deeper than in training", **note)
    depths.text(left, 51, " chance", va="bottom", fontsize=7.5)
    distances.set_facecolor("0.93")
    title = f"deeper than in training: {SEEN + 1} to {TESTED} clauses"
    distances.text(0.5, 108, title, transform=distances.get_yaxis_transform(), **note)
    depths.set(xlabel="nested clauses in the sentence", ylabel="accuracy, misleading last noun (%)")
    distances.set(xlabel="distance from subject to verb (words)")
    figure.legend(*depths.get_legend_handles_labels(), loc="outside upper center", ncols=6, handlelength=2.6)
    return figure
