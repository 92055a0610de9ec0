"""The views show the weights and gates of the bot's replies and the states of its encoder."""

import io

import numpy as np
import pytest
from rich.console import Console

import minirnn
from minirnn import plots
from minirnn.chatbot import bot as chatbot
from minirnn.chatbot.bot import Answer, Chatbot, Conversation
from minirnn.chatbot.conversations import Vocabulary
from minirnn.chatbot.model import ConversationModel
from minirnn.commands.apply import chat_views
from minirnn.commands.apply.chat import Session
from minirnn_kernels.cell import CELLS

LINES = ["my name is Zyphra", "hello there", "what is my name", "and so on and on"]


def bot(cell="lstm", attention="dot"):
    minirnn.manual_seed(3)
    vocabulary = Vocabulary(["my", "name", "is", "hello", ".", "^"])
    return Chatbot(ConversationModel(len(vocabulary), cell, hidden=6, attention=attention, embedding=5), vocabulary)


def shown(renderable, width=120):
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


@pytest.fixture(autouse=True)
def short_replies(monkeypatch):
    """Without a limit, the replies of an untrained bot are long."""
    monkeypatch.setattr(chatbot, "LONGEST_REPLY", 5)


@pytest.fixture
def drawn(monkeypatch):
    """Record the arguments of the drawing function."""
    given = {}
    names = ("states", "words", "weights", "said", "starts", "title")
    monkeypatch.setattr(plots, "attention_and_states", lambda *values: given.update(zip(names, values, strict=True)))
    return given


# ---- /why


def answer(shares=(0.9, 0.2, 1.0), said=("my", "^", "zyphra")):
    conversation = Conversation(
        (), np.zeros((7, 0)), ("x", "zyphra", "<bot>", "a", "<user>", "b", "<bot>"),
        ("x", "Zyphra", "<bot>", "a", "<user>", "[red]", "<bot>"), (0, 0, 0, 1, 1, 2, 2),
    )  # fmt: skip
    weights = np.array([[0.0, 0.0, 0.0, 0.05, 0.0, 0.95, 0.0], [0.0, 0.9, 0.06, 0.04, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]])
    return Answer("My Zyphra", said, weights, np.array(shares), conversation)


def test_why_says_for_each_word_how_it_came_and_what_was_looked_at():
    lines = [line.rstrip() for line in shown(chat_views.why(answer())).splitlines()]
    assert lines[1].split(maxsplit=3) == ["my", "said", "90%", "[red] 95%, a 5% (bot, 1 turn ago)"]
    assert lines[2].split(maxsplit=3)[:3] == ["^", "copied", "80%"]
    assert "Zyphra 90% (user, 1 turn ago), (end) 6% (user, 1 turn ago), a 4% (bot, 1 turn ago)" in lines[2]
    assert "capital" in shown(chat_views.why(answer()))
    assert "capital" not in shown(chat_views.why(answer(said=("my", "is", "zyphra"))))


def test_why_of_a_bot_without_attention():
    made = bot(attention="none")
    assert "no attention" in chat_views.why(made.answer("hello", made.conversation))


# ---- /state


def test_state_draws_each_unit_and_marks_what_moved():
    now = Conversation((np.array([[-1.0, 0.0, 0.99, 0.5]]), np.array([[0.0, 4.0, -4.0, 0.0]])), np.zeros((0, 0)))
    before = Conversation((np.array([[-0.9, 0.0, 0.5, 0.9]]), np.array([[0.0, 4.0, -4.0, 0.0]])), np.zeros((0, 0)))
    h, bars, marks, c, bars_of_c = shown(chat_views.state(now, before, "utf-8")).splitlines()
    assert h.startswith("h, 4 units, from ▁ -1 to █ +1; the last turn moved a unit by 0.25 on average, 2 of them")
    assert bars.rstrip() == "    0 ▁▅█▇"
    assert marks.rstrip() == "        +-"
    assert c.startswith("c, 4 units, from ▁ -4 to █ +4;")
    assert bars_of_c.rstrip() == "    0 ▅█▁▅"


def test_state_without_a_turn_and_on_a_terminal_without_bars():
    made = bot("gru")
    title, bars = shown(chat_views.state(made.conversation, None, "ascii")).splitlines()
    assert "moved" not in title
    assert bars.isascii()


# ---- the figure


@pytest.mark.parametrize("cell", CELLS)
def test_the_figure_has_the_states_that_the_encoder_had(drawn, cell):
    session = Session(bot(cell))
    for line in LINES[:2]:
        session.reply(line)
    chat_views.figure(session.bot, session.turns)
    heard = session.bot.conversation
    assert drawn["words"] == [{"<bot>": "bot:", "<user>": "user:"}.get(word, word) for word in heard.words]
    assert list(drawn["states"]) == list(dict.fromkeys((*CELLS[cell].states, *CELLS[cell].gates)))
    found = np.sort(drawn["states"]["h"], axis=1)  # the units are in another order
    np.testing.assert_allclose(found, np.sort(heard.memory[:, :6], axis=1), rtol=0, atol=1e-6)
    assert [drawn["words"][place] for place in drawn["starts"]] == ["bot:", "user:", "bot:", "user:"]


@pytest.mark.parametrize("words", [1000, 25])
def test_the_figure_has_all_of_the_attention(drawn, monkeypatch, words):
    monkeypatch.setattr(chat_views, "FIGURE_WORDS", words)
    session = Session(bot())
    answers = []
    for line in LINES:
        session.reply(line)
        answers.append(session.answer)
    chat_views.figure(session.bot, session.turns)
    first = session.turns[0].number
    assert (first > 1) == (words < 1000)
    assert ("The last part" in drawn["title"]) == (words < 1000)
    assert drawn["words"][0] == ("(earlier)" if first > 1 else "my")
    np.testing.assert_allclose(np.nansum(drawn["weights"], axis=0), 1, rtol=1e-5)
    last = answers[-1]
    column = drawn["weights"][first > 1 :, -len(last.words)]  # the first word of the last reply
    seen = column[~np.isnan(column)]
    np.testing.assert_allclose(seen, last.weights[0, -len(seen) :])
    assert drawn["weights"].shape == (len(drawn["words"]), len(drawn["said"]))
    h = np.sort(drawn["states"]["h"][first > 1 :], axis=1)
    np.testing.assert_allclose(h, np.sort(last.conversation.memory[-len(h) :, :6], axis=1), rtol=0, atol=1e-6)


def test_a_bot_without_attention_is_drawn_without_it(drawn):
    session = Session(bot(attention="none"))
    session.reply("my name")
    chat_views.figure(session.bot, session.turns)
    assert drawn["weights"] is None
    assert drawn["words"][:3] == ["my", "name", "bot:"]


def test_nothing_said_is_nothing_drawn():
    with pytest.raises(plots.PlotError, match="nothing was said"):
        chat_views.figure(bot(), ())
