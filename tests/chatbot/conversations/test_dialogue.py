"""Generated conversations: equal for equal seeds, with correct replies, and with disjoint parts."""

import itertools
import re

import pytest

from minirnn.chatbot.conversations import CAPITAL, DEVICES, FACTS, conversation, ordinary_words, read, value_words
from minirnn.chatbot.conversations.dialogue import _part
from minirnn.chatbot.conversations.phrasings import IT_IS, PHRASINGS, REPLIES, TALK
from minirnn.chatbot.conversations.values import UNITS
from minirnn.chatbot.conversations.words import EXPANDED, expand

SOME = range(150)


def spoken(split, **options):
    return [turn for seed in SOME for turn in conversation((7, seed), split, **options)]


def test_the_same_arguments_give_the_same_conversation():
    assert conversation(3, "test") == conversation(3, "test")
    assert conversation(3, "test") != conversation(4, "test")


def test_five_to_ten_turns_one_of_which_asks_for_something_told():
    lengths = set()
    for seed in SOME:
        turns = conversation(seed)
        lengths.add(len(turns))
        assert any(turn.act == "ask" and turn.since >= 1 for turn in turns)
    assert lengths == set(range(5, 11))


@pytest.mark.parametrize("topic", [*PHRASINGS])
def test_every_topic_can_be_told_and_asked_in_at_least_ten_phrasings(topic):
    for act, cores in PHRASINGS[topic].items():
        assert len(set(cores)) >= (8 if act == "cancel" else 10), act
        assert len(set(cores)) == len(cores)


@pytest.mark.parametrize("topic", [*TALK])
def test_small_talk_has_at_least_ten_phrasings(topic):
    assert len(set(TALK[topic][1])) >= 10


def test_no_question_means_two_things():
    """A question or small talk belongs to one topic, with contractions or without."""
    topics = {}
    for topic, (_, cores) in TALK.items():
        for core in cores:
            topics.setdefault(expand(core).lower(), set()).add(topic)
    for topic, acts in PHRASINGS.items():
        for core in (*acts.get("ask", ()), *acts.get("cancel", ())):
            if not re.search(r"\bit\b", core):  # "what is it" asks for the device that was mentioned last
                topics.setdefault(expand(core).lower(), set()).add(topic)
    relations = {form for form in topics if "{k}" in form}  # the slot distinguishes a pet from a relation
    assert {form: found for form, found in topics.items() if len(found) > 1 and form not in relations} == {}


def test_every_ordinary_word_of_the_test_is_known():
    known = {*ordinary_words(), *value_words()}
    unknown = {
        word
        for turn in spoken("test", values="train")
        if turn.topic != "nonsense"
        for word in (*read(turn.user)[0], *turn.words)
        if word not in known
    }
    assert unknown == set()


def test_values_of_the_test_are_unknown():
    names = [turn for turn in spoken("test") if turn.act == "ask" and turn.topic in ("name", "town")]
    known = set(value_words())
    assert len(names) > 30
    assert not any(word in known for turn in names for word in turn.value)


def bare(text):
    """Return a phrasing without punctuation, with its contractions expanded, with or without their apostrophes."""
    without = {short.replace("'", ""): long for short, long in EXPANDED.items()}
    words = [EXPANDED.get(word, without.get(word, word)) for word in re.findall(r"[\w':]+", text.lower())]
    return " ".join(words).lower().replace("'", "")


def test_no_phrasing_of_the_test_occurs_in_training():
    """Texts without a new value, mostly questions, have different words in each part, in any spelling."""
    asked = {"ask", "unknown", "cancel", "talk"}
    typed = {
        split: {
            bare(turn.user)
            for seed in range(count)
            for turn in conversation((1, seed), split)
            if turn.act in asked and turn.topic != "nonsense"
        }
        for split, count in (("train", 4000), ("valid", 300), ("test", 300))
    }
    assert min(map(len, typed.values())) > 300
    assert not typed["train"] & typed["test"]
    assert not typed["train"] & typed["valid"]
    assert not typed["valid"] & typed["test"]


def test_an_asked_value_is_the_last_one_told():
    """The last reply to a statement about the topic contains the value."""
    checked = 0
    for seed in SOME:
        turns = conversation((5, seed), topics=("name", "town", "food"))
        for n, turn in enumerate(turns):
            if turn.act != "ask":
                continue
            told = [t for t in turns[:n] if t.act in ("tell", "correct") and turn.topic in t.topic.split()]
            words = [word for word in told[-1].words if word != CAPITAL]
            joined = " ".join(words)
            assert " ".join(turn.value) in joined
            assert turns[n - turn.since] is told[-1]
            checked += 1
    assert checked > 100


def test_what_was_not_told_is_not_known():
    for seed in SOME:
        told = set()
        for turn in conversation((6, seed), topics=FACTS):
            if turn.act == "unknown" and turn.topic != "relation":
                assert turn.topic not in told
                assert "yet" in turn.words
            if turn.act in ("tell", "correct"):
                told.update(turn.topic.split())


def test_after_a_cancel_there_is_nothing():
    seen = 0
    for seed in range(400):
        gone = set()
        for turn in conversation((8, seed), topics=DEVICES):
            if turn.act == "cancel":
                gone.add(turn.topic)
            elif turn.act == "tell":
                gone -= set(turn.topic.split())
            elif turn.act == "ask":
                assert turn.topic not in gone
                seen += 1
            elif turn.act == "unknown" and turn.topic in gone:
                assert turn.reply.startswith("There is no")
    assert seen > 100


def test_a_timer_keeps_its_unit_when_only_the_number_changes():
    kept = 0
    for seed in range(300):
        unit = None
        for turn in conversation((9, seed), topics=("timer",)):
            if turn.topic != "timer" or turn.act not in ("tell", "correct"):
                continue
            units = [word for word in turn.words if word in UNITS]
            assert len(units) == 1
            if turn.act == "correct" and units[0] not in read(turn.user)[0]:
                assert units[0] == unit
                kept += 1
            unit = units[0]
    assert kept > 20


def test_short_answers_follow_what_the_bot_did_not_know():
    short = re.compile("|".join(re.escape(core.split("{")[0]) for core in IT_IS if core != "{v}"))
    for seed in SOME:
        turns = conversation((10, seed), topics=FACTS)
        for before, turn in itertools.pairwise(turns):
            if before.act == "unknown" and turn.act == "tell" and short.match(turn.user.lower()):
                assert turn.topic == before.topic


def test_every_reply_is_one_of_the_table():
    shapes = [re.escape(reply) for acts in REPLIES.values() for reply in acts.values()]
    patterns = [re.compile(re.sub(r"\\\{\w\\\}", ".+", shape), re.IGNORECASE) for shape in shapes]
    patterns.append(re.compile(r"What is your \w+ called\?"))
    talk = {reply.lower() for reply, _ in TALK.values()} | {"sorry, i didn't understand that."}
    for turn in spoken("valid"):
        if " " in turn.topic and turn.topic.split()[0] in PHRASINGS:
            continue  # two facts in one turn: two replies
        assert turn.reply.lower() in talk or any(pattern.fullmatch(turn.reply) for pattern in patterns), turn.reply


def test_a_contraction_changes_no_part():
    phrasings = ["hey, what's my name", "I don't know, who's my boss", "my name's {v}", "it's {v}"]
    for phrasing in phrasings:
        assert _part(phrasing) == _part(expand(phrasing)) == _part(phrasing.replace(",", ""))
    assert len({_part(f"hey, my name is {n}") for n in range(60)}) == 3


def test_who_has_a_pet_without_a_name_is_asked_for_it():
    asked = answered = 0
    for seed in range(300):
        turns = conversation((11, seed), topics=("pet", "relation"))
        for before, turn in itertools.pairwise(turns):
            if before.words[:3] == ("what", "is", "your"):
                asked += 1
                if turn.act == "tell" and turn.words[-2] in before.words:
                    answered += 1
                assert not (turn.act == "ask" and turn.topic == before.topic == "pet" and "called" in turn.words)
    assert asked > 30
    assert answered > 5
