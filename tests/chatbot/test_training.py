"""Training the chatbot: its settings, reproducibility from a seed, and correct scores."""

import numpy as np
import pytest

from minirnn.chatbot.bot import Answer
from minirnn.chatbot.conversations import Vocabulary
from minirnn.chatbot.training import ChatbotConfig, holds, make_conversations, score, train
from minirnn.language import ConfigError

SMALL = ChatbotConfig(hidden=16, embedding=8, conversations=12, steps=40, batch=4, lr=1e-2)


def test_training_lowers_the_loss_and_a_seed_fixes_the_bits():
    losses = []
    bot = train(SMALL, lambda step, loss: losses.append(loss))
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    again = train(SMALL)
    for name, array in bot.model.state_dict().items():
        assert np.array_equal(array, again.model.state_dict()[name]), name
    assert bot.card["steps"] == 40
    assert bot.card["settings"]["hidden"] == 16


def test_training_can_be_stopped():
    def told(step, loss):
        if step == 3:
            raise StopIteration

    assert train(SMALL, told).card["steps"] == 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"cell": "qrnn"}, "cell must be one of rnn, lstm, gru, got 'qrnn'"),
        ({"attention": "all"}, "attention must be one of dot, additive, none, got 'all'"),
        ({"hidden": 1}, "hidden must be at least 2, got 1"),
        ({"steps": 0}, "steps must be from 1 to 1,000,000, got 0"),
        ({"lr": float("nan")}, "lr must be a finite number above 0, got nan"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_settings_that_make_no_sense_are_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        ChatbotConfig(**setting)


def test_parts_and_seeds_give_other_conversations():
    assert make_conversations("test", 3) == make_conversations("test", 3)
    assert make_conversations("test", 3) != make_conversations("valid", 3)
    assert make_conversations("test", 3) != make_conversations("test", 3, seed=1)
    assert make_conversations("test", 3) != make_conversations("test", 3, values="train")


class Oracle:
    """A bot that knows the sequence of correct replies and changes them by a rule."""

    def __init__(self, talks, rule):
        self.replies = iter([turn.reply for turns in talks for turn in turns])
        self.rule = rule

    vocabulary = Vocabulary.of_conversations()

    def beginning(self):
        return None

    def answer(self, text, conversation):
        return Answer(self.rule(next(self.replies)), (), None, None, conversation)


def test_scores_count_recalled_values_and_exact_replies():
    talks = make_conversations("test", 20)
    asked = [turn for turns in talks for turn in turns if turn.act == "ask"]
    right = score(Oracle(talks, lambda reply: reply), talks)
    assert right.exact_share == right.recall_share == 1
    assert (right.replies, right.recalls) == (sum(map(len, talks)), len(asked))
    assert sum(count for count, _ in right.by_distance.values()) == len(asked)
    assert sum(count for count, _ in right.by_act.values()) == right.replies
    assert all(count == exact for count, exact in right.by_act.values())
    assert "tell (relative)" in right.by_act
    known = sum(all(word in Oracle.vocabulary for word in turn.value) for turn in asked)
    assert right.known == [known, known]
    assert right.unknown == [len(asked) - known] * 2
    assert 0 < known < len(asked)
    wordy = score(Oracle(talks, lambda reply: f"Well: {reply}"), talks)
    assert (wordy.exact, wordy.recall_share) == (0, 1)
    wrong = score(Oracle(talks, lambda reply: "Sorry, I didn't understand that."), talks)
    assert wrong.recall_share == 0
    assert 0 < wrong.exact < wrong.replies  # this is the correct reply to nonsense


@pytest.mark.parametrize(
    ("reply", "value", "right"),
    [
        ("Your name is Zyphra.", ("zyphra",), True),
        ("Your name is Ana.", ("zyphra",), False),
        ("Your home town is Des Moines.", ("des", "moines"), True),
        ("Your home town is Moines Des.", ("des", "moines"), False),
        ("You are 345 years old.", ("34",), False),
    ],
)
def test_a_value_is_held_as_whole_words_in_order(reply, value, right):
    assert holds(reply, value) is right
