"""The chatbot: it replies to any input, a conversation is a value, and a file stores the whole bot."""

import numpy as np
import pytest

from minirnn import checkpoint, random
from minirnn.chatbot.bot import LONGEST_REPLY, LONGEST_TURN, NOTHING_SAID, Chatbot
from minirnn.chatbot.conversations import BOT, USER, Vocabulary
from minirnn.chatbot.model import ConversationModel
from minirnn.checkpoint import CheckpointError
from minirnn_kernels.cell import CELLS

V = Vocabulary.of_conversations()
ODD = {
    "long": "my name is " + "Ana " * 2500,
    "one long word": "x" * 10_000,
    "control characters": "my\x00 name\x1b[31m is\x7f Ana\r",
    "other scripts": "меня зовут Аня 我叫小明 اسمي علي",
    "emoji": "👩‍👩‍👧 🎉🎉",
    "marks": "?!.,;:()^^<unknown><user><bot>",
    "lone surrogate": "\ud800 hello",
}


def make(attention="dot", cell="lstm", hidden=8):
    random.manual_seed(0)
    bot = Chatbot(ConversationModel(len(V), cell, hidden, attention, embedding=6, dropout=0.3), V, {"made": "here"})
    bot.model.output.bias.data[[V.id("ok"), USER]] += 2.0  # short replies
    return bot


@pytest.fixture(params=["dot", "additive", "none"])
def bot(request):
    return make(request.param)


def same(a, b):
    parts = [(x, y) for x, y in zip((*a.state, a.memory), (*b.state, b.memory), strict=True)]
    return all(np.array_equal(x, y) for x, y in parts) and a.words == b.words and a.utterance == b.utterance


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_anything_gets_an_answer_and_the_conversation_goes_on(bot, text):
    for said in (text, "hello"):
        reply = bot.reply(said)
        assert isinstance(reply, str)
        assert "\n" not in reply
    assert all(np.isfinite(part).all() for part in bot.conversation.state)


@pytest.mark.parametrize("text", ["", "   ", "\t", "\x00"])
def test_nothing_said_changes_nothing(bot, text):
    bot.reply("hello")
    before = bot.conversation
    assert bot.reply(text) == NOTHING_SAID
    assert bot.conversation is before


def test_two_hundred_turns():
    bot = make()
    for n in range(200):
        bot.reply(f"turn {n} is this")
    assert len(bot.conversation.memory) == len(bot.conversation.words) > 200 * 5
    assert bot.conversation.utterance[-1] == 399


def test_the_same_words_give_the_same_reply_and_an_answer_changes_nothing(bot):
    start = bot.beginning()
    first, second = bot.answer("my name is Ana", start), bot.answer("my name is Ana", start)
    assert first.text == second.text
    assert same(first.conversation, second.conversation)
    assert same(start, bot.beginning())
    assert not same(first.conversation, start)


def test_only_the_first_words_of_a_long_turn_count(bot):
    words = V.words[100 : 100 + LONGEST_TURN + 5]
    start = bot.beginning()
    assert same(bot.answer(" ".join(words), start).conversation, bot.answer(" ".join(words[:-5]), start).conversation)
    assert not same(
        bot.answer(" ".join(words), start).conversation, bot.answer(" ".join(words[:-6]), start).conversation
    )


def test_a_reply_ends(bot):
    bot.model.output.bias.data[USER] = -1e9
    if bot.model.attends:
        bot.model.gate.bias.data[:] = 50.0  # never copies
    answer = bot.answer("hello", bot.beginning())
    assert len(answer.words) == LONGEST_REPLY
    assert answer.weights is None or len(answer.weights) == LONGEST_REPLY


def test_why_the_weights_and_the_share_said_of_each_word():
    bot = make()
    answer = bot.answer("hello there", bot.answer("my name is Ana", bot.beginning()).conversation)
    heard = len(answer.conversation.words) - len(answer.words) - 1
    assert answer.weights.shape == (len(answer.words), heard)
    np.testing.assert_allclose(answer.weights.sum(axis=1), 1, rtol=1e-5)
    assert answer.conversation.words[heard - 1] == "<bot>"
    bot.model.gate.weight.data[:] = 0.0
    for bias, low, high in ((50.0, 0.999, 1.001), (-50.0, -0.001, 0.001)):
        bot.model.gate.bias.data[:] = bias
        said = bot.answer("hello there", bot.beginning()).said
        assert ((low < said) & (said < high)).all()
    assert make("none").answer("hello", make("none").beginning()).weights is None


def test_a_reply_has_a_word(bot):
    bot.model.output.bias.data[USER] = 1e3
    assert len(bot.answer("hello", bot.beginning()).words) == 1


def test_copying_says_an_unknown_word_as_it_was_spelled():
    bot = make()
    bot.model.gate.weight.data[:] = 0.0
    bot.model.gate.bias.data[:] = -50.0  # always copies
    answer = bot.answer("McZyphra", bot.beginning())
    assert answer.words[0] == "mczyphra"
    assert answer.text.startswith("McZyphra")


def test_marks_are_never_said(bot):
    for index in (0, 1, BOT):
        bot.model.output.bias.data[index] = 1e3
    words = bot.answer("hello", bot.beginning()).words
    assert not {"<unknown>", "<number>", "<bot>"} & set(words)


def test_a_conversation_can_be_stored_and_restored(bot, tmp_path):
    bot.reply("my name is Ana")
    checkpoint.save(tmp_path / "talk.safetensors", bot.conversation.state_dict())
    restored = bot.restore(checkpoint.load(tmp_path / "talk.safetensors"))
    assert same(restored, bot.conversation)
    assert bot.answer("who am i", restored).text == bot.answer("who am i", bot.conversation).text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "something"}, "this is not a conversation"),
        ({"words": None}, "this is not a conversation"),
        ({"memory": "text"}, "this is not a conversation"),
        ({"state": [1, 2]}, "this is not a conversation"),
        ({"utterance": [2**70] * 8}, "this conversation is damaged"),
        ({"utterance": [3, 2, 1]}, "this conversation is damaged"),
        ({"memory": np.zeros((3, 5), np.float32)}, "held with another bot"),
        ({"state": [np.zeros((1, 9), np.float32)] * 2}, "held with another bot"),
        ({"words": ["one"]}, "this conversation is damaged"),
        ({"utterance": [0.5] * 5}, "this conversation is damaged"),
        ({"state": [np.full((1, 8), np.nan, np.float32)] * 2}, "this conversation is damaged"),
    ],
)
def test_what_is_no_conversation_of_this_bot_is_refused(change, message):
    bot = make()
    bot.reply("hello")
    with pytest.raises(ValueError, match=message):
        bot.restore(bot.conversation.state_dict() | change)


@pytest.mark.parametrize("cell", CELLS)
def test_a_file_holds_the_bot(cell, tmp_path):
    bot = make(cell=cell)
    bot.save(tmp_path / "bot.safetensors")
    loaded = Chatbot.load(tmp_path / "bot.safetensors")
    assert loaded.card == {"made": "here"}
    assert loaded.vocabulary.words == V.words
    for text in ("hello", "my name is Ana"):
        assert loaded.reply(text) == bot.reply(text)


def test_files_that_hold_no_bot_are_refused(tmp_path):
    path = tmp_path / "file.safetensors"
    with pytest.raises(CheckpointError, match=r"file.safetensors: cannot read"):
        Chatbot.load(path)
    path.write_bytes(b"hello")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        Chatbot.load(path)
    checkpoint.save(path, {"kind": "other"})
    with pytest.raises(CheckpointError, match="a checkpoint, but not of a chatbot"):
        Chatbot.load(path)
    make().save(path)
    stored = checkpoint.load(path)
    for broken in (
        stored | {"settings": stored["settings"] | {"hidden": 9}},
        {k: stored[k] for k in stored if k != "model"},
    ):
        checkpoint.save(path, broken)
        with pytest.raises(CheckpointError, match="the chatbot in it is damaged"):
            Chatbot.load(path)
