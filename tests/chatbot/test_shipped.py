"""The chatbot in the package: the size of its file, its card, and its replies."""

import importlib.util
from pathlib import Path

import pytest

from minirnn.chatbot import bot as chatbot
from minirnn.chatbot.bot import Chatbot
from minirnn.chatbot.training import make_conversations, score

ROOT = Path(__file__).parents[2]
FILE = Path(chatbot.__file__).parent / "chatbot.safetensors"

DIALOGUES = {
    "a name never seen": [
        ("My name is Zyphra.", "Nice to meet you, Zyphra."),
        ("thanks!", "You're welcome."),
        ("What's my name?", "Your name is Zyphra."),
    ],
    "a timer and what refers to it": [
        ("Set a timer for 10 minutes", "Timer set for 10 minutes."),
        ("Actually, make it 15", "OK, timer set for 15 minutes."),
        ("How long is it?", "The timer is set for 15 minutes."),
        ("Cancel the timer.", "The timer is off."),
    ],
    "two people": [
        ("my sister is called Ana", "Say hello to Ana from me."),
        ("MY NAME IS BOB", "Nice to meet you, Bob."),
        ("what is my sister's name?", "Your sister is called Ana."),
        ("and what is my name?", "Your name is Bob."),
        ("how old am I?", "I don't know how old you are yet."),
    ],
    "a correction": [
        ("I live in Oslo", "I hear that Oslo is lovely."),
        ("sorry, I live in Kuala Lumpur", "OK, your home town is Kuala Lumpur."),
        ("where do I live", "Your home town is Kuala Lumpur."),
    ],
    "nonsense loses nothing": [
        ("my favourite food is bibimbap", "Mmm, bibimbap, good choice."),
        ("qwe rtz uio", "Sorry, I didn't understand that."),
        ("what's my favourite food?", "Your favourite food is bibimbap."),
    ],
}


@pytest.fixture(scope="module")
def bot():
    return Chatbot.load()


def test_the_file_is_small_and_its_card_says_how_it_was_made(bot):
    assert FILE.stat().st_size <= 3_000_000
    assert bot.card["command"].startswith("minirnn train-chatbot")
    assert bot.card["seconds"] <= 15 * 60
    scores = bot.card["scores"]["test"]
    assert scores["right value"] >= 0.98
    assert scores["exactly right"] >= 0.97
    assert scores["of unknown words"] >= scores["of known words"] - 0.02
    assert scores["right value"] >= bot.card["scores"]["training"]["right value"] - 0.02


@pytest.mark.parametrize("dialogue", DIALOGUES.values(), ids=DIALOGUES)
def test_dialogues(bot, dialogue):
    bot.reset()
    assert [bot.reply(said) for said, _ in dialogue] == [answer for _, answer in dialogue]


def test_its_scores_hold_on_a_part_of_the_test(bot):
    """The shares of 60 conversations vary by about one percent around the shares of the card's 500 conversations."""
    scores = score(bot, make_conversations("test", 60))
    assert scores.recall_share >= 0.95
    assert scores.exact_share >= 0.95


def test_the_page_has_the_files_card(bot):
    path = ROOT / "docs" / "make_card.py"
    spec = importlib.util.spec_from_file_location("make_card", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "docs" / "chatbot.md").read_text(encoding="utf-8")
    assert module.page(text, bot) == text
