"""Does a network carry a subject's number over nested clauses to its verb?

The claim. "The student who the professor who won the Nobel Prize taught **was** brilliant": between the subject and
its verb stand two clauses with subjects and verbs of their own. The course says that an LSTM keeps what it needs to
choose "was" over such a distance and that a simple RNN doesn't. (The question is Elman's, 1991; that the nouns in
between, the attractors, mislead networks was measured by Linzen, Dupoux and Goldberg 2016.)

The sentences are generated, in the present tense, where each verb shows its number:

    the poets near the lawyer who the student who admires the farmers teaches are kind

A subject may be followed by a phrase ("near the lawyer") and by a clause that begins with "who" and stands between it
and its verb; the clause's own subject may be followed by another clause, and so on. The depth of a verb is how many
clauses are open, one in the other, between it and its subject. All nouns draw their number by a fair coin. So the last
noun before a verb has its number about half the time where anything stands between, and neither it nor the sentence's
first noun tells the numbers of all the verbs: these must be kept one over the other, and used in the opposite order.

What is done. A network reads the words, and before each verb says whether it is to be plural. It is trained on depths
0 to 2, on fresh sentences, and tested on depths 0 to 5: the last three are longer than all that it has seen. Accuracy
is given by depth and by distance (how many words after the subject the verb comes), over all verbs with anything in
between, and apart for those whose last noun before them has the other number: there the rule "agree with the last
noun" is always wrong. Chance is 50 %. The networks are an RNN, a GRU and an LSTM of 64 units and, since a gated unit
has three or four times the weights, an RNN of 128.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn import nn, no_grad, plots, random
from minirnn.course.experiment import Effort, Outcome, Progress, Table
from minirnn.course.fitting import fit
from minirnn.course.sentences import Vocabulary, WordReader
from minirnn.autograd import Tensor

CLAIM = "An LSTM carries the subject's number over nested clauses to the verb; a simple RNN loses it."
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
PLACES = ("near", "behind", "beside")
ADJECTIVES = ("brilliant", "kind", "tired", "famous", "cheerful", "honest")

SEEN, TESTED = 2, 5  # the deepest clauses in training and in the test
BATCH = 32
CARRIED = 0.9  # of the verbs with a misleading last noun right: the number was carried


@dataclass(frozen=True)
class Verb:
    """A verb in a sentence: which word it is, its subject's place, its depth and number, and the last noun's number."""

    at: int
    subject: int
    depth: int
    plural: bool
    last_noun_plural: bool
    first_noun_plural: bool

    @property
    def distance(self) -> int:
        """How many words after its subject it comes."""
        return self.at - self.subject


class _Writer:
    """Puts down a sentence word by word and remembers its nouns and verbs."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.words: list[str] = []
        self.nouns: list[tuple[int, bool]] = []  # place, whether plural
        self.verbs: list[Verb] = []

    def pick(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def noun(self) -> tuple[int, bool]:
        """A noun of either number, by a fair coin; its place and number."""
        plural = bool(self.rng.integers(2))
        self.words += ["the", self.pick(NOUNS) + "s" * plural]
        self.nouns.append((len(self.words) - 1, plural))
        return self.nouns[-1]

    def verb(self, subject: tuple[int, bool], depth: int, forms: tuple[str, str]) -> None:
        place, plural = subject
        self.verbs.append(Verb(len(self.words), place, depth, plural, self.nouns[-1][1], self.nouns[0][1]))
        self.words.append(forms[plural])


def sentence(rng: np.random.Generator, depth: int) -> tuple[list[str], list[Verb]]:
    """A sentence with `depth` clauses, each within the one before, and its verbs in the order of the words."""
    writer = _Writer(rng)
    ends_with_object = depth > 0 and bool(rng.integers(2))  # the innermost clause is "who admires the poets"
    subjects = []
    for level in range(depth + 1 - ends_with_object):
        writer.words += ["who"] * (level > 0)
        subjects.append(writer.noun())
        last = ends_with_object and level == depth - 1  # "near the poet who …" could be about the poet
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


VOCABULARY = Vocabulary(
    [
        ("the", "who", *NOUNS, *(noun + "s" for noun in NOUNS)),
        *VERBS,
        BE,
        PLACES,
        ADJECTIVES,
    ]
)


def batch(rng: np.random.Generator, count: int, depths: Sequence[int]) -> tuple[Any, list[Verb], tuple[Any, Any]]:
    """ids (T, count), the verbs of all sentences, and where their numbers are to be known: (steps, rows) as an index.

    A verb's number is asked for when the word before it has been read.
    """
    made = [sentence(rng, int(rng.choice(depths))) for _ in range(count)]
    ids, _ = VOCABULARY.encode([words for words, _ in made])
    verbs = [verb for _, own in made for verb in own]
    rows = np.repeat(np.arange(count), [len(own) for _, own in made])
    return ids, verbs, (np.array([verb.at - 1 for verb in verbs]), rows)


NETWORKS = {"RNN": ("rnn", 64), "RNN, 128 units": ("rnn", 128), "GRU": ("gru", 64), "LSTM": ("lstm", 64)}
RULES = {"last noun": "last_noun_plural", "first noun": "first_noun_plural"}


def trained(network: str, seed: int, steps: int, progress: Progress) -> WordReader:
    """A network that has seen `steps` batches of sentences of depths 0 to SEEN; the same ones for every network."""
    random.manual_seed(seed)
    cell, hidden = NETWORKS[network]
    model = WordReader(VOCABULARY.size, cell, 32, hidden)
    rng = np.random.default_rng([seed, 1])

    def loss_of(step: int) -> Tensor:
        ids, verbs, asked = batch(rng, BATCH, range(SEEN + 1))
        return nn.cross_entropy(model(ids)[asked], np.array([verb.plural for verb in verbs], np.int64))

    fit(model, loss_of, steps, told=lambda step, loss: progress(step / steps, network))
    return model


def run(effort: Effort, seed: int, progress: Progress) -> Outcome:
    """Train each network on shallow sentences and test it on deeper ones too."""
    steps, sentences, seeds = {"quick": (250, 100, 1), "default": (1500, 500, 1), "full": (10_000, 2000, 5)}[effort]
    tests = [
        (depth, *batch(np.random.default_rng([seed, 2, depth]), sentences, [depth])) for depth in range(TESTED + 1)
    ]
    answers: list[dict[str, Any]] = []
    todo = [(network, s) for s in range(seed, seed + seeds) for network in NETWORKS]
    for k, (network, s) in enumerate(todo):
        model = trained(network, s, steps, lambda done, what, k=k: progress((k + done) / len(todo), what))
        for depth, ids, verbs, asked in tests:
            with no_grad():
                said = model(ids).data[asked].argmax(-1)
            answers += rows(network, depth, verbs, said.astype(bool))
    for rule, name in RULES.items():
        for depth, _, verbs, _ in tests:
            answers += rows(rule, depth, verbs, np.array([getattr(verb, name) for verb in verbs]))
    return judged(answers, steps, seeds)


def rows(who: str, depth: int, verbs: Sequence[Verb], said: Any) -> list[dict[str, Any]]:
    """What somebody said about each verb that has something between itself and its subject."""
    return [
        {
            "who": who,
            "sentence_depth": depth,
            "depth": verb.depth,
            "distance": verb.distance,
            "misled": verb.last_noun_plural != verb.plural,
            "right": bool(plural) == verb.plural,
        }
        for verb, plural in zip(verbs, said, strict=True)
        if verb.distance > 1
    ]


BINS = ((2, 3), (4, 5), (6, 8), (9, 12), (13, 18), (19, 26), (27, 40))  # distances, both ends included


def judged(answers: Sequence[Mapping[str, Any]], steps: int, seeds: int) -> Outcome:
    """Whether the LSTM, and not the RNN, gets the misled verbs right; in sentences as deep as seen, and in deeper ones.

    Held: the LSTM does in both and the RNN in neither. Did not hold: the LSTM doesn't even in the first, or is ahead of
    the RNN in neither by more than so many verbs can tell (`ahead`). Verbs with nothing but a phrase between them and
    their subject don't count: theirs is no clause.
    """
    right = {deep: {who: nested_and_misled(answers, who, deep) for who in NETWORKS} for deep in (False, True)}
    seen, deeper = ({who: float(np.mean(r)) for who, r in right[deep].items()} for deep in (False, True))
    simple = [who for who in NETWORKS if who.startswith("RNN")]
    carried = [share["LSTM"] >= CARRIED for share in (seen, deeper)]
    lost = [all(share[who] < CARRIED for who in simple) for share in (seen, deeper)]
    behind = any(all(ahead(own["LSTM"], own[who]) for who in simple) for own in right.values())
    why = [
        f"The LSTM got only {_percent(share['LSTM'])} right in {where}." * (not right)
        for share, right, where in zip((seen, deeper), carried, DEPTHS, strict=True)
    ] + [
        f"The RNN carried the number too in {where}: {_percent(max(share[who] for who in simple))}." * (not gone)
        for share, gone, where in zip((seen, deeper), lost, DEPTHS, strict=True)
    ]
    verdict: Any = "held" if all(carried + lost) else "held in part" if carried[0] and behind else "did not hold"
    shares = ", ".join(f"{who} {_percent(seen[who])} / {_percent(deeper[who])}" for who in NETWORKS)
    measured = f"verbs whose last noun misleads, right in {DEPTHS[0]} / in {DEPTHS[1]}: {shares}."
    numbers = {
        "steps": steps,
        "seeds": seeds,
        "seen_depth": SEEN,
        "by_depth": by(answers, "sentence_depth", [(depth, depth) for depth in range(TESTED + 1)]),
        "by_distance_seen": by([a for a in answers if a["sentence_depth"] <= SEEN], "distance", BINS),
        "by_distance_deeper": by([a for a in answers if a["sentence_depth"] > SEEN], "distance", BINS),
        "examples": examples(),
    }
    return Outcome(numbers, measured, verdict, " ".join(filter(None, why)))


DEPTHS = (f"sentences of 1 to {SEEN} clauses, as trained on", f"deeper ones of {SEEN + 1} to {TESTED}")


def nested_and_misled(answers: Sequence[Mapping[str, Any]], who: str, deep: bool) -> list[bool]:
    """Of each verb with a clause before it and a misleading last noun, in sentences deep or not: was it right?"""
    return [
        a["right"]
        for a in answers
        if a["who"] == who and a["misled"] and a["depth"] > 0 and (a["sentence_depth"] > SEEN) == deep
    ]


def ahead(one: Sequence[bool], other: Sequence[bool]) -> bool:
    """Whether its share of right answers is higher by more than two standard errors of the difference of such shares.

    That is the chance of which verbs were drawn; how much networks differ by their seeds isn't in it.
    """
    error = math.sqrt(np.var(one) / len(one) + np.var(other) / len(other))
    return bool(np.mean(one) - np.mean(other) > 2 * error)


def by(answers: Sequence[Mapping[str, Any]], key: str, bins: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """For each who answered and each bin of `key`: how many verbs, the share right; the same for the misled ones."""
    found = []
    for who in dict.fromkeys(a["who"] for a in answers):
        for low, high in bins:
            own = [a for a in answers if a["who"] == who and low <= a[key] <= high]
            misled = [a["right"] for a in own if a["misled"]]
            found.append(
                {
                    "who": who,
                    "from": low,
                    "to": high,
                    "verbs": len(own),
                    "right": float(np.mean([a["right"] for a in own])) if own else None,
                    "misled_verbs": len(misled),
                    "misled_right": float(np.mean(misled)) if misled else None,
                }
            )
    return found


def examples() -> list[dict[str, Any]]:
    """A sentence of each depth from 0 to 3, always the same."""
    made = [sentence(np.random.default_rng([10, depth]), depth) for depth in range(4)]
    return [
        {
            "sentence": " ".join(words),
            "agree": ", ".join(f"{words[verb.subject]} {words[verb.at]}" for verb in verbs),
            "distance": verbs[-1].distance,
        }
        for words, verbs in made
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def tables(numbers: Mapping[str, Any]) -> list[Table]:
    """Example sentences, and the accuracy by depth and by distance."""
    shown = [
        Table(
            "Examples: each verb agrees with its subject",
            ["sentence", "subjects and verbs", "distance"],
            [[e["sentence"], e["agree"], e["distance"]] for e in numbers["examples"]],
        )
    ]
    for key, name, title in (
        ("by_depth", "right", "by clauses in the sentence: all verbs with anything in between"),
        ("by_depth", "misled_right", "by clauses in the sentence: last noun misleads"),
        ("by_distance_seen", "misled_right", f"by words from subject to verb: last noun misleads, {DEPTHS[0]}"),
        ("by_distance_deeper", "misled_right", f"by words from subject to verb: last noun misleads, {DEPTHS[1]}"),
    ):
        bins = list(dict.fromkeys((c["from"], c["to"]) for c in numbers[key] if c[name] is not None))
        header = ["who", *(str(low) if low == high else f"{low}-{high}" for low, high in bins)]
        rows_ = [
            [who, *(_percent(c[name]) for c in numbers[key] if c["who"] == who and (c["from"], c["to"]) in bins)]
            for who in dict.fromkeys(c["who"] for c in numbers[key])
        ]
        shown.append(Table(f"Right (chance: 50 %) {title}", header, rows_))
    return shown


@plots.style()
def draw(numbers: Mapping[str, Any]) -> Any:
    """Accuracy where the last noun misleads, by the sentence's depth and, in those deeper than seen, by distance."""
    figure, (depths, distances) = plots.new_figure(7.0, 3.2, 1, 2, sharey=True)
    for panel, key in ((depths, "by_depth"), (distances, "by_distance_deeper")):
        cells = numbers[key]
        for k, who in enumerate(dict.fromkeys(c["who"] for c in cells)):
            own = [c for c in cells if c["who"] == who and c["misled_right"] is not None]
            places = [(c["from"] + c["to"]) / 2 for c in own]
            panel.plot(places, [100 * c["misled_right"] for c in own], label=who, **plots.lines(k))
        panel.axhline(50, color="0.5", linewidth=0.8)
        panel.set_ylim(-5, 115)
    left, right = depths.get_xlim()
    edge = numbers["seen_depth"] + 0.5
    depths.axvspan(edge, right, color="0.93", zorder=0)
    depths.set_xlim(left, right)
    note = {"ha": "center", "va": "center", "fontsize": 7.5}
    depths.text((edge + right) / 2, 108, "deeper than trained on", **note)
    depths.text(left, 51, " chance", va="bottom", fontsize=7.5)
    distances.set_facecolor("0.93")
    where = f"deeper than trained on: {SEEN + 1} to {TESTED} clauses"
    distances.text(0.5, 108, where, transform=distances.get_yaxis_transform(), **note)
    depths.set(xlabel="clauses in the sentence, one within the other", ylabel="right where the last noun misleads (%)")
    distances.set(xlabel="distance from subject to verb (words)")
    figure.legend(*depths.get_legend_handles_labels(), loc="outside upper center", ncols=6, handlelength=2.6)
    return figure
