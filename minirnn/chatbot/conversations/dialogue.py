"""Conversations generated from a seed: what a person says in five to ten turns, and the right replies of the bot.

The generator keeps the state of a conversation: the facts told so far, each with its value and its turn; the device
(timer, alarm or reminder) that was mentioned last, for "make it 15"; and the fact that the bot has just said it doesn't
know, for "it's Ana".
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from .phrasings import (
    CALLED,
    CANCEL_IT,
    CHORES,
    CLOSERS,
    CORRECT_OPENERS,
    ERRANDS,
    HAS,
    IT_IS,
    NONSENSE,
    NOT_UNDERSTOOD,
    OPENERS,
    PHRASINGS,
    REPLIES,
    TALK,
    THINGS,
    WHAT_CALLED,
    WHEN,
)
from .values import PETS, RELATIONS, UNITS, Split, draw, part_of
from .words import CAPITAL, expand, read, write

__all__ = ["DEVICES", "FACTS", "Turn", "conversation"]

FACTS = ("name", "town", "job", "food", "colour", "age", "pet", "relation")
DEVICES = ("timer", "alarm", "reminder")
CAPITALISED = ("name", "town", "pet", "relation")
WITH_KIND = ("pet", "relation")  # facts that have a kind ("dog", "sister") as well as a name


@dataclass(frozen=True)
class Turn:
    """One turn: the user's text, the words of the right reply, and what the turn is about.

    act: "tell", "correct", "ask", "unknown" (a question about a fact that was not told), "cancel" or "talk".
    value, since: for "ask", the words of the asked value as in the reply, without CAPITAL, and the number of turns since
    the user last told it.
    """

    user: str
    words: tuple[str, ...]
    topic: str
    act: str
    value: tuple[str, ...] = ()
    since: int = 0

    @property
    def reply(self) -> str:
        """The text of the reply that counts as exactly right."""
        return write(self.words)


@dataclass
class _Fact:
    value: str  # as told: a job with its article, a duration with its unit; empty for a pet or relation without a name
    turn: int
    kind: str = ""  # of a pet or a relation: "dog", "sister"


@dataclass
class _Story:
    """The state of a conversation at one turn."""

    rng: np.random.Generator
    split: Split
    values: Split
    topics: tuple[str, ...]
    turn: int = 0
    known: dict[str, _Fact] = field(default_factory=dict)  # keys: a topic, or "relation sister"
    device: str = ""  # mentioned last
    missing: str = ""  # the fact that the bot has just said it doesn't know
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
    """Return a conversation; `turns` is its minimum and maximum length. Equal arguments give equal conversations.

    Phrasings come from the part `split`, values from the part `values` (default: `split`). `topics` are the facts and
    devices to talk about. At least one turn asks for a value that was told before.
    """
    rng = np.random.default_rng(seed)
    while True:
        story = _Story(rng, split, values or split, tuple(topics))
        made: list[Turn] = []
        for story.turn in range(int(rng.integers(turns[0], turns[1] + 1))):
            made.append(_turn(story))
        if any(turn.act == "ask" for turn in made):
            return made


def _turn(story: _Story) -> Turn:
    missing, just_told = story.missing, story.just_told
    story.missing = story.just_told = ""
    if missing and story.chance(0.5):
        return _tell(story, missing, short=True)
    known = [key for key, fact in story.known.items() if fact.value]
    untold = [key for key in _keys(story) if key not in known]
    pairable = [key for key in untold if key not in story.known and key not in DEVICES]
    devices = [key for key in known if key in DEVICES]
    # for each act: its weight in the random choice, and the turn if it is chosen
    acts: dict[str, tuple[float, Callable[[], Turn]]] = {
        "tell": (3.0 * bool(untold), lambda: _tell_new(story, story.pick(untold))),
        "pair": (0.5 * (len(pairable) > 1), lambda: _tell_two(story, pairable)),
        "correct": (1.0 * bool(known), lambda: _correct(story, known, just_told)),
        "ask": (4.0 * bool(known), lambda: _ask(story, story.pick(known))),
        "unknown": (0.7 * bool(untold), lambda: _ask(story, story.pick(untold))),
        "cancel": (0.4 * bool(devices), lambda: _cancel(story, story.pick(devices))),
        "talk": (1.2, lambda: _talk(story)),
        "nonsense": (0.6, lambda: _nonsense(story)),
    }
    weights = [weight for weight, _ in acts.values()]
    total = sum(weights)
    return acts[story.rng.choice(list(acts), p=[weight / total for weight in weights])][1]()


def _keys(story: _Story) -> list[str]:
    """Return the keys of what can be told: the topics, with two random relations for "relation"."""
    keys = [topic for topic in story.topics if topic != "relation"]
    if "relation" in story.topics:
        keys += [f"relation {story.pick(RELATIONS)}" for _ in range(2)]
    return list(dict.fromkeys(keys))


def _named(story: _Story, key: str) -> _Fact | None:
    """Return the known fact `key` if it has a value."""
    fact = story.known.get(key)
    return fact if fact and fact.value else None


# ---- acts


def _tell_new(story: _Story, key: str) -> Turn:
    """Tell `key` for the first time; a pet or a relation sometimes without its name."""
    nameless = key.split()[0] in WITH_KIND and key not in story.known and story.chance(0.2)
    return _have(story, key) if nameless else _tell(story, key)


def _correct(story: _Story, known: Sequence[str], just_told: str) -> Turn:
    """Correct what was just told, or another known fact."""
    key = just_told if just_told and story.chance(0.5) else story.pick(known)
    return _tell(story, key, short=key == just_told and story.chance(0.5))


def _tell(story: _Story, key: str, short: bool = False) -> Turn:
    """Tell `key`, or correct it. short: only "it's …" or, for a device, "make it …"."""
    topic, before = key.split()[0], _named(story, key)
    fact = _fact(story, key)
    slots = _slots(topic, fact)
    cores = PHRASINGS[topic]["tell"]
    if topic in DEVICES:
        if before and (short or story.chance(0.7)):
            cores = PHRASINGS[topic]["correct"]
            if story.device != topic:
                cores = tuple(core for core in cores if topic in core or core.startswith(("remind", "wake")))
            if topic == "timer" and story.chance(0.5) and before.value.split()[1:]:
                fact.value = f"{fact.value.split()[0]} {before.value.split()[1]}"
                slots["v"] = fact.value.split()[0]
    elif short:
        cores = (*IT_IS, *CALLED) if topic in WITH_KIND else IT_IS
    openers = CORRECT_OPENERS if before and story.chance(0.75) else OPENERS["tell"]
    user = _say(story, openers, cores, CLOSERS["tell"], slots, ".")
    _keep(story, key, fact)
    act = "correct" if before else "tell"
    return Turn(user, _reply(topic, act, _slots(topic, fact)), topic, act)


def _have(story: _Story, key: str) -> Turn:
    """Mention a pet or a relation without its name; the bot asks for the name."""
    topic = key.split()[0]
    fact = _Fact("", story.turn, story.pick(PETS) if topic == "pet" else key.split()[1])
    slots = _slots(topic, fact)
    user = _say(story, OPENERS["tell"], HAS, CLOSERS["tell"], slots, ".")
    story.known[key] = fact
    story.missing = key
    return Turn(user, tuple(read(WHAT_CALLED.format_map(slots))[0]), topic, "tell")


def _tell_two(story: _Story, keys: Sequence[str]) -> Turn:
    """Tell two facts in one sentence; the reply answers both."""
    keys = [keys[k] for k in story.rng.choice(len(keys), 2, replace=False)]
    topics = [key.split()[0] for key in keys]
    while True:
        cores = [story.pick(PHRASINGS[topic]["tell"]) for topic in topics]
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
    slots = _slots(topic, fact) if fact else {"k": story.pick(PETS) if topic == "pet" else key.split()[-1]}
    asked = "kind" if topic == "pet" and story.chance(0.3) else topic
    if fact and not fact.value and asked != "kind":
        topic, fact = "relation" if topic == "pet" else topic, None  # "I don't know your dog's name yet."
    cores = PHRASINGS[asked]["ask"]
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
    cores = (*PHRASINGS[key]["cancel"], *(CANCEL_IT if story.device == key else ()))
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


# ---- parts of a turn


def _fact(story: _Story, key: str) -> _Fact:
    """Return a new fact for `key`, with a value that differs from the known one."""
    topic = key.split()[0]
    before = story.known.get(key)
    kind = key.split()[1] if topic == "relation" else ""
    if topic == "pet":
        kind = before.kind if before else story.pick(PETS)
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
        chore = story.pick(CHORES).format(k=story.pick(RELATIONS), p=story.pick(PETS))
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
    """Return the words of the bot's reply; names are capitalised, whatever the user typed."""
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
    """Return a composition that belongs to the story's part, with its values, in a random style of typing."""
    while True:
        opener, core, closer = story.pick(openers), story.pick(cores), story.pick(closers)
        if _part(f"{opener} {core} {closer}") == story.split:
            break
    filled = _contracted(story, core).format_map(slots)
    return _styled(story, f"{opener} {filled}".strip(), mark, closer)


@cache
def _part(phrasing: str) -> Split:
    """Return the part of a phrasing. It does not depend on contractions and punctuation."""
    return part_of(" ".join(word for word in read(expand(phrasing))[0] if word.isalnum() or len(word) > 1))


def _contracted(story: _Story, core: str) -> str:
    """Return `core` with its contractions unchanged, expanded, or without apostrophes."""
    style = story.rng.random()
    if style < 0.6:
        return core
    return expand(core) if style < 0.85 else core.replace("'", "")


def _styled(story: _Story, text: str, mark: str, closer: str) -> str:
    """Return the text as people type it: with or without punctuation, in lower case, or in upper case."""
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
