"""The chatbot's network: its gradients, its mixture, and the independence of replies from later words."""

import dataclasses

import numpy as np
import pytest

from minirnn import Tensor, random
from minirnn.chatbot.batches import batch, encode
from minirnn.chatbot.bot import Chatbot, _Decoder
from minirnn.chatbot.conversations import Vocabulary, conversation, read
from minirnn.chatbot.model import ConversationModel, copied_or_said
from minirnn.gradcheck import check
from minirnn_kernels.cell import CELLS

V = Vocabulary.of_conversations()
TALKS = [conversation((4, seed), "test", turns=(5, 5)) for seed in range(3)]
EACH_CELL = pytest.mark.parametrize("cell", CELLS)
EACH_ATTENTION = pytest.mark.parametrize("attention", ["dot", "additive", "none"])


def make(cell="lstm", attention="dot", vocab_size=None, hidden=6):
    random.manual_seed(0)
    model = ConversationModel(vocab_size or len(V), cell, hidden, attention, embedding=5, dropout=0.0, dtype=np.float64)
    for parameter in model.parameters():
        parameter.data *= 2.0  # so that attention and gates differ between words
    return model.eval()


def test_the_mixture_is_the_one_of_the_docstring_and_its_gradient_is_right():
    rng = np.random.default_rng(0)
    gate, said, copied = rng.standard_normal(7), rng.random(7), rng.random(7)
    g = 1 / (1 + np.exp(-gate))
    value = copied_or_said(Tensor(gate), Tensor(said), Tensor(copied)).data
    np.testing.assert_allclose(value, -np.log(g * said + (1 - g) * copied), rtol=1e-10)
    report = check(copied_or_said, inputs=[Tensor(a, requires_grad=True) for a in (gate, said, copied)])
    assert report, str(report)


@EACH_CELL
@EACH_ATTENTION
def test_gradients_of_every_parameter(cell, attention):
    """For each parameter, the derivative along a random direction equals the central difference of the loss."""
    small = [dataclasses.replace(e, ids=[[i % 30 for i in w] for w in e.ids]) for e in (encode(t, V) for t in TALKS)]
    model, data = make(cell, attention, 30), batch(small)
    weights = np.random.default_rng(1).random(int((data.targets >= 0).sum()))

    def loss():
        return (model(data) * weights).sum()

    loss().backward()
    rng = np.random.default_rng(2)
    for name, parameter in model.named_parameters():
        direction = rng.standard_normal(parameter.shape)
        start, sides = parameter.data.copy(), []
        for step in (1e-5, -1e-5):
            parameter.data[...] = start + step * direction
            sides.append(loss().item())
        parameter.data[...] = start
        expected = (sides[0] - sides[1]) / 2e-5
        assert (parameter.grad * direction).sum() == pytest.approx(expected, rel=1e-5, abs=1e-6), name
        assert np.abs(parameter.grad).max() > 0, name


@EACH_CELL
@EACH_ATTENTION
def test_a_batch_gives_each_reply_the_probability_that_a_conversation_does(cell, attention):
    """The bot, which computes the equations word by word, and the batched network agree to 1e-10."""
    model = make(cell, attention)
    bot = Chatbot(model, V)
    losses = iter(model(batch([encode(turns, V) for turns in TALKS])).data)
    for turns in TALKS:
        state = bot.beginning()
        for turn in turns:
            heard = bot._hear(state, *read(turn.user), mark=3)
            decoder = _Decoder(model, V, heard)
            numbers = dict(zip(heard.words, decoder.places, strict=True))
            previous = None
            for word in (*turn.words, "<user>"):
                said, copied, gate = decoder.step(previous)
                p = decoder.mixture(said, copied, gate)
                place = 2 if word == "<user>" else V.id(word) if word in V else numbers.get(word, 0)
                loss = next(losses)
                if attention != "none" or place >= 2:
                    assert -np.log(p[place] + 1e-12) == pytest.approx(loss, rel=1e-8, abs=1e-10)
                previous = word
            state = bot._hear(heard, turn.words, turn.words, mark=2)
    assert next(losses, None) is None


@EACH_CELL
def test_what_comes_later_changes_no_earlier_reply(cell):
    model = make(cell)
    encoded = encode(TALKS[0], V)
    other = dataclasses.replace(encoded, ids=[*encoded.ids[:4], *([9] * len(words) for words in encoded.ids[4:])])
    data = batch([encoded])
    first, second = model(data).data, model(batch([other])).data
    early = data.turn[data.targets >= 0] < 2
    np.testing.assert_array_equal(first[early], second[early])
    assert not np.allclose(first[~early], second[~early])


def test_a_conversation_in_a_batch_does_not_hear_the_others():
    model = make()
    data = batch([encode(turns, V) for turns in TALKS])
    together, owner = model(data).data, np.nonzero(data.targets >= 0)[0]
    for b, turns in enumerate(TALKS):
        alone = model(batch([encode(turns, V)])).data
        np.testing.assert_allclose(together[owner == b], alone, rtol=1e-10)


def test_unknown_choices_are_named():
    with pytest.raises(ValueError, match="cell must be one of rnn, lstm, gru, got 'qrnn'"):
        ConversationModel(9, "qrnn")
    with pytest.raises(ValueError, match="attention must be one of dot, additive, none, got 'all'"):
        ConversationModel(9, attention="all")
