"""Conversations drawn from a seed: what a person says in five to ten turns, and what the bot has to answer.

A conversation keeps what is true so far: which facts were told, with which value and when; which of timer, alarm and
reminder was spoken of last, for "make it 15"; and what the bot just said it doesn't know, for "it's Ana".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from .phrasings import (
    CALLED,
    CANCEL_IT,
    CLOSERS,
    CORRECT_OPENERS,
    HAS,
    IT_IS,
    NONSENSE,
    NOT_UNDERSTOOD,
    OPENERS,
    REPLIES,
    TALK,
    USER,
    WHAT_CALLED,
)
from .values import KINDS, RELATIONS, UNITS, Split, draw, part_of, trained_values
from .words import CAPITAL, read, write

__all__ = ["DEVICES", "FACTS", "Turn", "conversation", "ordinary_words", "value_words"]

FACTS = ("name", "town", "job", "food", "colour", "age", "pet", "relation")
DEVICES = ("timer", "alarm", "reminder")
CAPITALISED = ("name", "town", "pet", "relation")
ERRANDS = ("buy {}", "get {}", "buy some {}", "order {}", "look for {}", "pick up {}")
CHORES = (
    *(
        "call my {k}",
        "visit my {k}",
        "email my {k}",
        "feed the {p}",
        "wash the {p}",
        "clean the kitchen",
        "water the plants",
    ),
    *("pay the rent", "call the doctor", "take out the trash", "do the laundry", "write a letter", "wash the car"),
)
WHEN = (" tomorrow", " tonight", " at {}", " this evening", " later today")
KINDLY = ("pet", "relation")  # what has a kind beside its name
THINGS = [
    "garden",
    "phone",
    "park",
    "film",
    "bus",
    "train",
    "book",
    "car",
    "sun",
    "shop",
    "holiday",
    "bird",
    "music",
    "coffee",
    "beach",
    "traffic",
    "kitchen",
    "letter",
]
EXPANDED = {
    "i'm": "I am", "i've": "I have", "i'd": "I would", "you're": "you are", "what's": "what is", "who's": "who is",
    "where's": "where is", "how's": "how is", "it's": "it is", "that's": "that is", "don't": "do not", "can't": "can not",
}  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """What the user types, and the reply as words; `topic` and `act` say what the turn is about.

    act: "tell", "correct", "ask", "unknown" (asked for what wasn't told), "cancel" or "talk". Where a known value is
    asked for, `value` is it (its words, as the reply has them, without CAPITAL), and `since` the number of turns since
    it was last told.
    """

    user: str
    words: tuple[str, ...]
    topic: str
    act: str
    value: tuple[str, ...] = ()
    since: int = 0

    @property
    def reply(self) -> str:
        """The reply as text: the one that counts as exactly right."""
        return write(self.words)


@dataclass
class _Fact:
    value: str  # as told, a job with its article, a duration with its unit; empty: a pet or relation without a name
    turn: int
    kind: str = ""  # of a pet or a relation


@dataclass
class _Story:
    """What is true at a point of a conversation."""

    rng: np.random.Generator
    split: Split
    values: Split
    topics: tuple[str, ...]
    turn: int = 0
    known: dict[str, _Fact] = field(default_factory=dict)  # keys: a topic, or "relation sister"
    device: str = ""  # spoken of last
    missing: str = ""  # what the bot has just said it doesn't know
    just_told: str = ""

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)


def conversation(
    seed: int | Sequence[int],
    split: Split = "train",
    *,
    values: Split | None = None,
    topics: Sequence[str] = (*FACTS, *DEVICES),
    turns: tuple[int, int] = (5, 10),
) -> list[Turn]:
    """A conversation of so many turns (least and most), the same for the same arguments.

    Phrasings come from the part `split`, values from the part `values` (that of `split` unless given). `topics` are
    what may be told and asked for. At least one turn asks for something that was told before.
    """
    rng = np.random.default_rng(seed)
    while True:
        story = _Story(rng, split, values or split, tuple(topics))
        told: list[Turn] = []
        for story.turn in range(int(rng.integers(turns[0], turns[1] + 1))):
            told.append(_turn(story))
        if any(turn.act == "ask" for turn in told):
            return told


def _turn(story: _Story) -> Turn:
    missing, just_told = story.missing, story.just_told
    story.missing = story.just_told = ""
    if missing and story.chance(0.5):
        return _tell(story, missing, short=True)
    known = [key for key, fact in story.known.items() if fact.value]
    untold = [key for key in _keys(story) if key not in known]
    pairable = [key for key in untold if key not in story.known and key not in DEVICES]
    weights = {
        "tell": 3.0 * bool(untold),
        "pair": 0.5 * (len(pairable) > 1),
        "correct": 1.0 * bool(known),
        "ask": 4.0 * bool(known),
        "unknown": 0.7 * bool(untold),
        "cancel": 0.4 * any(key in DEVICES for key in known),
        "talk": 1.2,
        "nonsense": 0.6,
    }
    total = sum(weights.values())
    act = story.rng.choice(list(weights), p=[w / total for w in weights.values()])
    if act == "tell":
        key = story.pick(untold)
        if key.split()[0] in KINDLY and key not in story.known and story.chance(0.2):
            return _have(story, key)
        return _tell(story, key)
    if act == "pair":
        return _tell_two(story, pairable)
    if act == "correct":
        key = just_told if just_told and story.chance(0.5) else story.pick(known)
        return _tell(story, key, short=key == just_told and story.chance(0.5))
    if act == "ask":
        return _ask(story, story.pick(known))
    if act == "unknown":
        return _ask(story, story.pick(untold))
    if act == "cancel":
        return _cancel(story, story.pick([key for key in known if key in DEVICES]))
    return _talk(story) if act == "talk" else _nonsense(story)


def _keys(story: _Story) -> list[str]:
    """What can be told: the topics, and for the relations two that are drawn."""
    keys = [topic for topic in story.topics if topic != "relation"]
    if "relation" in story.topics:
        keys += [f"relation {story.pick(RELATIONS)}" for _ in range(2)]
    return list(dict.fromkeys(keys))


def _named(story: _Story, key: str) -> _Fact | None:
    """What is known of `key`, if a value is."""
    fact = story.known.get(key)
    return fact if fact and fact.value else None


# ---- acts


def _tell(story: _Story, key: str, short: bool = False) -> Turn:
    """Tell `key`, or tell it otherwise. short: only "it's …" or, for a device, "make it …"."""
    topic, before = key.split()[0], _named(story, key)
    fact = _fact(story, key)
    slots = _slots(topic, fact)
    cores = USER[topic]["tell"]
    if topic in DEVICES:
        if before and (short or story.chance(0.7)):
            cores = USER[topic]["correct"]
            if story.device != topic:
                cores = tuple(core for core in cores if topic in core or core.startswith(("remind", "wake")))
            if topic == "timer" and story.chance(0.5) and before.value.split()[1:]:
                fact.value = f"{fact.value.split()[0]} {before.value.split()[1]}"
                slots["v"] = fact.value.split()[0]
    elif short:
        cores = (*IT_IS, *CALLED) if topic in KINDLY else IT_IS
    openers = CORRECT_OPENERS if before and story.chance(0.75) else OPENERS["tell"]
    user = _say(story, openers, cores, CLOSERS["tell"], slots, ".")
    _keep(story, key, fact)
    return Turn(
        user,
        _reply(topic, "correct" if before else "tell", _slots(topic, fact)),
        topic,
        "correct" if before else "tell",
    )


def _have(story: _Story, key: str) -> Turn:
    """Tell of a pet or a relation without its name; the bot asks for that."""
    topic = key.split()[0]
    fact = _Fact("", story.turn, story.pick(KINDS) if topic == "pet" else key.split()[1])
    slots = _slots(topic, fact)
    user = _say(story, OPENERS["tell"], HAS, CLOSERS["tell"], slots, ".")
    story.known[key] = fact
    story.missing = key
    return Turn(user, tuple(read(WHAT_CALLED.format_map(slots))[0]), topic, "tell")


def _tell_two(story: _Story, keys: Sequence[str]) -> Turn:
    """Tell two of these facts in one sentence; the reply answers both."""
    keys = [keys[k] for k in story.rng.choice(len(keys), 2, replace=False)]
    topics = [key.split()[0] for key in keys]
    while True:
        cores = [story.pick(USER[topic]["tell"]) for topic in topics]
        if _part(" and ".join(cores)) == story.split:
            break
    slots = []
    for key, topic in zip(keys, topics, strict=True):
        fact = _fact(story, key)
        _keep(story, key, fact)
        slots.append(_slots(topic, fact))
    story.just_told = ""
    said = [_contracted(story, core).format_map(filled) for core, filled in zip(cores, slots, strict=True)]
    words = [word for topic, filled in zip(topics, slots, strict=True) for word in _reply(topic, "tell", filled)]
    return Turn(_styled(story, " and ".join(said), ".", ""), tuple(words), " ".join(topics), "tell")


def _ask(story: _Story, key: str) -> Turn:
    topic, fact = key.split()[0], story.known.get(key)
    slots = _slots(topic, fact) if fact else {"k": story.pick(KINDS) if topic == "pet" else key.split()[-1]}
    asked = "kind" if topic == "pet" and story.chance(0.3) else topic
    if fact and not fact.value and asked != "kind":
        topic, fact = "relation" if topic == "pet" else topic, None  # "I don't know your dog's name yet."
    cores = USER[asked]["ask"]
    if topic in DEVICES and story.device != topic:
        cores = tuple(core for core in cores if not re.search(r"\bit\b", core))
    user = _say(story, OPENERS["ask"], cores, CLOSERS["ask"], slots, "?")
    if topic in DEVICES:
        story.device = topic
    if not fact:
        story.missing = key if topic not in DEVICES and topic != "pet" else ""
        return Turn(user, _reply(topic if asked != "kind" else asked, "unknown", slots), key.split()[0], "unknown")
    value = fact.kind if asked == "kind" else fact.value
    words = tuple(read(value)[0])
    return Turn(user, _reply(asked, "ask", slots), topic, "ask", words, story.turn - fact.turn)


def _cancel(story: _Story, key: str) -> Turn:
    cores = (*USER[key]["cancel"], *(CANCEL_IT if story.device == key else ()))
    user = _say(story, OPENERS["tell"], cores, CLOSERS["ask"], {}, ".")
    del story.known[key]
    story.device = key
    return Turn(user, _reply(key, "cancel", {}), key, "cancel")


def _talk(story: _Story) -> Turn:
    topic = story.pick(list(TALK))
    reply, cores = TALK[topic]
    mark = "?" if cores[0].split()[0] in ("how", "who", "what", "tell") else "."
    user = _say(story, OPENERS["talk"], cores, CLOSERS["talk"], {}, mark)
    return Turn(user, tuple(read(reply)[0]), topic, "talk")


def _nonsense(story: _Story) -> Turn:
    template = story.pick(NONSENSE)
    core = re.sub(r"\{w\}", lambda _: _gibberish(story), template)
    return Turn(_styled(story, core, ".", ""), tuple(read(NOT_UNDERSTOOD)[0]), "nonsense", "talk")


# ---- parts of them


def _fact(story: _Story, key: str) -> _Fact:
    """A new value for `key`, other than what is known."""
    topic = key.split()[0]
    before = story.known.get(key)
    kind = key.split()[1] if topic == "relation" else ""
    if topic == "pet":
        kind = before.kind if before else story.pick(KINDS)
    while True:
        value = _value(story, topic)
        if before is None or value != before.value:
            return _Fact(value, story.turn, kind)


def _value(story: _Story, topic: str) -> str:
    if topic == "timer":
        return f"{draw('count', story.values, story.rng)} {story.pick(UNITS)}"
    if topic == "alarm":
        return draw("time", story.values, story.rng) + story.pick(("", "", " am", " pm"))
    if topic == "reminder":
        errand = story.pick(ERRANDS).format(draw("errand", story.values, story.rng))
        chore = story.pick(CHORES).format(k=story.pick(RELATIONS), p=story.pick(KINDS))
        when = story.pick(WHEN).format(draw("time", story.values, story.rng)) if story.chance(0.2) else ""
        return (errand if story.chance(0.6) else chore) + when
    value = draw("pet" if topic == "relation" else topic, story.values, story.rng)
    return f"{_article(value)} {value}" if topic == "job" else value


def _keep(story: _Story, key: str, fact: _Fact) -> None:
    story.known[key] = fact
    story.just_told = key
    if key in DEVICES:
        story.device = key


def _slots(topic: str, fact: _Fact) -> dict[str, str]:
    return {"v": fact.value, "k": fact.kind, "a": _article(fact.kind) if fact.kind else "a"}


def _article(word: str) -> str:
    return "an" if word[0].lower() in "aeiou" else "a"


def _reply(topic: str, act: str, slots: dict[str, str]) -> tuple[str, ...]:
    """The words of the bot's answer; names begin with a capital letter, whatever the user typed."""
    filled = dict(slots)
    if topic in CAPITALISED and "v" in filled:
        filled["v"] = " ".join(CAPITAL + word for word in filled["v"].split())
    return tuple(read(REPLIES[topic][act].format_map(filled))[0])


def _say(
    story: _Story,
    openers: Sequence[str],
    cores: Sequence[str],
    closers: Sequence[str],
    slots: dict[str, str],
    mark: str,
) -> str:
    """A composition of the story's part, with its values, typed in one of many ways."""
    while True:
        opener, core, closer = story.pick(openers), story.pick(cores), story.pick(closers)
        if _part(f"{opener} {core} {closer}") == story.split:
            break
    filled = _contracted(story, core).format_map(slots)
    return _styled(story, f"{opener} {filled}".strip(), mark, closer)


@cache
def _part(phrasing: str) -> Split:
    """The part of a phrasing, the same however its contractions and marks are written."""
    return part_of(" ".join(word for word in read(_expand(phrasing))[0] if word.isalnum() or len(word) > 1))


def _contracted(story: _Story, core: str) -> str:
    """With its contractions as they are, or written out, or without their apostrophes."""
    style = story.rng.random()
    if style < 0.6:
        return core
    return _expand(core) if style < 0.85 else core.replace("'", "")


def _expand(core: str) -> str:
    return re.sub(r"[\w]+'\w+", lambda match: EXPANDED.get(match[0].lower(), match[0]), core)


def _styled(story: _Story, text: str, mark: str, closer: str) -> str:
    """As people type: with marks or without, in small letters, or shouting."""
    text += closer
    style = story.rng.random()
    if style < 0.45:
        return text[0].upper() + text[1:] + mark
    if style < 0.6:
        return text + (mark if mark == "?" else story.pick(("", "!")))
    text = text.replace(",", "")
    return text if style < 0.75 else text.lower() if style < 0.92 else text.upper()


def _gibberish(story: _Story) -> str:
    if story.chance(0.25):
        return story.pick(THINGS)
    return "".join(story.pick("abcdefghijklmnopqrstuvwxyzaeiou") for _ in range(story.rng.integers(3, 10)))


# ---- the vocabulary


@cache
def ordinary_words() -> tuple[str, ...]:
    """Every word that can occur in a conversation beside the values, sorted."""
    texts = [*CORRECT_OPENERS, *(text for group in (OPENERS, CLOSERS) for texts in group.values() for text in texts)]
    texts += [
        *IT_IS,
        *CANCEL_IT,
        *NONSENSE,
        NOT_UNDERSTOOD,
        *ERRANDS,
        *CHORES,
        *WHEN,
        *CALLED,
        *HAS,
        WHAT_CALLED,
        *RELATIONS,
        *KINDS,
        *UNITS,
        *THINGS,
    ]
    texts += [core for acts in USER.values() for cores in acts.values() for core in cores]
    texts += [reply for acts in REPLIES.values() for reply in acts.values()]
    texts += [text for reply, cores in TALK.values() for text in (reply, *cores)]
    texts += [f"{noun}'s name" for noun in (*RELATIONS, *KINDS)]
    texts += ["a b an am pm and . ? ! ,"]
    words: set[str] = {CAPITAL}
    for text in texts:
        for form in (text, _expand(text), text.replace("'", "")):
            words.update(read(re.sub(r"\{\w?\}", " ", form))[0])
    return tuple(sorted(words))


@cache
def value_words() -> tuple[str, ...]:
    """The words of the values of training that are no ordinary words, sorted."""
    words = {word for value in trained_values() for word in read(value)[0]}
    return tuple(sorted(words - set(ordinary_words())))
