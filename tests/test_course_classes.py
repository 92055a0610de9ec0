"""The course's own classes: they learn, with correct gradients, and compute the same as nn.RNN and nn.LSTM."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from minirnn import Tensor

FILE = Path(__file__).parents[1] / "examples" / "course_classes.py"
spec = importlib.util.spec_from_file_location("course_classes", FILE)
course = importlib.util.module_from_spec(spec)
spec.loader.exec_module(course)

CLASSES = [course.SimpleRNN, course.LSTM]


def rng(seed=0):
    return np.random.default_rng(seed)


def small(kind):
    return kind(len(course.WORDS), 5, 2, dtype=np.float64, rng=rng(1))


def test_the_model_is_called_word_by_word_as_in_the_course():
    rnn = course.SimpleRNN(6, 256, 2)
    sentence, _ = course.sentences(32, rng(2))
    hidden = rnn.init_hidden(32)
    for word in sentence:
        out, hidden = rnn(word, hidden)
    assert out.shape == (32, 2)
    assert hidden.shape == (32, 256)
    assert out.dtype == np.float32


def test_only_the_order_of_the_words_determines_the_answer():
    sentence, who = course.sentences(200, rng(3))
    assert set(who) == {0, 1}
    counts = sentence.sum(axis=0)[:, :2]
    np.testing.assert_array_equal(counts, 1)
    np.testing.assert_array_equal(sentence[1].argmax(axis=1), who)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_few_steps_of_training_lower_the_loss(kind):
    losses = course.train(kind(len(course.WORDS), 32, 2, rng=rng(4)), 60, seed=5)
    assert abs(losses[0] - np.log(2)) < 0.1
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("kind", CLASSES)
def test_gradients_agree_with_finite_differences(kind):
    model = small(kind)
    sentence, who = course.sentences(4, rng(6), np.float64)
    before = model.state_dict()
    # A central difference with step 1e-6 in float64 is good to about 1e-9 of the loss.
    assert course.gradient_error(model, sentence, who, rng(7)) < 1e-7
    for name, values in model.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


@pytest.mark.parametrize("kind", CLASSES)
def test_outputs_states_and_all_gradients_equal_the_recurrent_layer(kind):
    model, T, B, H = small(kind), 5, 3, 5
    recurrent = course.as_recurrent(model)
    generator = rng(8)
    x = generator.standard_normal((T, B, len(course.WORDS)))
    start = generator.standard_normal((2 if kind is course.LSTM else 1, B, H))
    upstream = generator.standard_normal((T, B, H))
    upstream_final = generator.standard_normal(start.shape)

    t, states = Tensor(x, requires_grad=True), [Tensor(s, requires_grad=True) for s in start]
    now, hiddens = states, []
    for word in t:
        _, *now = model(word, *now)
        hiddens.append(now[0])
    loss = sum((h * w).sum() for h, w in zip(hiddens, upstream, strict=True))
    loss = loss + sum((s * w).sum() for s, w in zip(now, upstream_final, strict=True))
    loss.backward()

    u, peers = Tensor(x, requires_grad=True), [Tensor(s[None], requires_grad=True) for s in start]
    out, final = recurrent(u, tuple(peers) if len(peers) == 2 else peers[0])
    final = final if len(peers) == 2 else (final,)
    loss = (out * upstream).sum() + sum((s * w).sum() for s, w in zip(final, upstream_final, strict=True))
    loss.backward()

    close = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose([h.data for h in hiddens], out.data, **close)
    np.testing.assert_allclose([s.data[None] for s in now], [s.data for s in final], **close)
    np.testing.assert_allclose(t.grad, u.grad, **close)
    np.testing.assert_allclose([s.grad[None] for s in states], [s.grad for s in peers], **close)
    layers = course.gates(model)
    weight = np.concatenate([layer.weight.grad for layer in layers])
    bias = np.concatenate([layer.bias.grad for layer in layers])
    np.testing.assert_allclose(weight, np.hstack([recurrent.weight_ih_l0.grad, recurrent.weight_hh_l0.grad]), **close)
    np.testing.assert_allclose(bias, recurrent.bias_ih_l0.grad, **close)
    np.testing.assert_allclose(bias, recurrent.bias_hh_l0.grad, **close)
    assert np.abs(weight).min() > 0


def test_a_mistake_in_a_class_shows_as_a_difference():
    """The comparison that the script prints can fail."""
    sentence, _ = course.sentences(4, rng(9), np.float64)
    model = small(course.LSTM)
    assert course.largest_difference(model, sentence, rng(10)) < 1e-12
    right = course.gates
    try:
        course.gates = lambda m: [m.forget, m.input, m.candidate, m.output]
        assert course.largest_difference(model, sentence, rng(10)) > 1e-3
    finally:
        course.gates = right


def test_the_script_runs_and_prints_its_results(capsys):
    course.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "SimpleRNN of 256 hidden units",
        "LSTM of 256 hidden units",
    ]
    errors = [float(line.split()[-1]) for line in lines if "float64" in line]
    assert len(errors) == 4
    assert max(errors[0::2]) < 1e-6
    assert max(errors[1::2]) < 1e-12
