"""The experiment `chatbot`: rows that count, a verdict that can go each way, a figure from the numbers alone."""

import json

import pytest

from minirnn.chatbot.training import ChatbotConfig
from minirnn.course.experiments import chatbot


def row(cell, attention, far, exact=0.5):
    part = {"recall": far, "far": far, "exact": exact, "by distance": {"1": [10, 9], "4": [20, round(20 * far)]}}
    return {
        "cell": cell,
        "attention": attention,
        "hidden": 128,
        "seconds": 1.0,
        "loss": 0.1,
        "seen": part,
        "unseen": part,
    }


def numbers(lstm, rnn):
    rows = [row("rnn", "none", rnn), row("lstm", "none", lstm), row("gru", "none", 0.4)]
    return {"rows": [*rows, *(row(cell, "dot", 0.9) for cell in chatbot.CELLS)], "chance": 0.04, "topics": ["name"]}


@pytest.mark.parametrize(
    ("lstm", "rnn", "verdict"),
    [(0.95, 0.1, "held"), (0.95, 0.9, "held in part"), (0.5, 0.1, "held in part"), (0.05, 0.04, "did not hold")],
)
def test_the_verdict_follows_the_numbers(lstm, rnn, verdict):
    outcome = chatbot.judge(numbers(lstm, rnn))
    assert outcome.verdict == verdict
    assert ("even the LSTM" in outcome.why) == (lstm < 0.8)
    assert ("more than half as many" in outcome.why) == (rnn > lstm / 2)
    assert f"the LSTM recalls {lstm:.0%}, the RNN {rnn:.0%}" in outcome.measured


def test_chance_is_one_over_the_values_of_a_topic():
    from minirnn.chatbot.conversations import DEVICES, FACTS
    from minirnn.chatbot.conversations.values import LISTS

    names, colours = len(LISTS["name"]["train"]), len(LISTS["colour"]["train"])
    assert chatbot.chance(("name", "colour")) == pytest.approx((1 / names + 1 / colours) / 2)
    assert 0.005 < chatbot.chance((*FACTS, *DEVICES)) < 0.1


def test_a_network_is_trained_scored_and_drawn():
    config = ChatbotConfig(hidden=8, embedding=8, conversations=8, steps=6, batch=4, topics=("name", "colour"))
    heard = []
    made = chatbot.compared(config, 6, heard.append)
    assert heard == [step / 6 for step in range(1, 7)]
    asked = sum(asked for asked, _ in made["seen"]["by distance"].values())
    assert asked >= 6  # every conversation asks at least once
    found = json.loads(json.dumps(numbers(0.9, 0.2) | {"rows": [made | {"hidden": 128}]}))
    assert len(chatbot.tables(found)[0].rows) == 1
    assert [panel.get_title() for panel in chatbot.draw(found).axes[:2]] == ["seen values", "unseen values"]
