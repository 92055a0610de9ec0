"""The language model: shapes, carried state, dropout only in training, and gradients for every weight."""

import numpy as np
import pytest

from minirnn import no_grad, random
from minirnn.language.model import LanguageModel, from_arrays, step_states, to_arrays
from minirnn.nn import cross_entropy
from minirnn_kernels.cell import CELLS

T, B, V, H = 5, 3, 7, 4
RTOL = 1e-12  # float64; the two sides differ only in the order of additions
EACH_CELL = pytest.mark.parametrize("cell", CELLS)


def make(cell="lstm", **options):
    random.manual_seed(0)
    return LanguageModel(V, cell, H, **{"embedding": 6, "dtype": np.float64, **options})


@pytest.fixture
def ids():
    return np.random.default_rng(1).integers(0, V, (T, B))


@EACH_CELL
@pytest.mark.parametrize("layers", [1, 2])
def test_shapes_and_dtype(cell, layers, ids):
    logits, state = make(cell, layers=layers, dtype=np.float32)(ids)
    assert logits.shape == (T, B, V)
    assert logits.dtype == np.float32
    arrays = to_arrays(state)
    assert [a.shape for a in arrays] == [(layers, B, H)] * len(CELLS[cell].states)
    assert all(type(a) is np.ndarray for a in arrays)


@EACH_CELL
def test_a_carried_state_continues(cell, ids):
    model = make(cell)
    whole, end = model(ids)
    first, middle = model(ids[:2])
    second, last = model(ids[2:], from_arrays(to_arrays(middle)))
    np.testing.assert_allclose(np.concatenate([first.data, second.data]), whole.data, rtol=RTOL)
    for a, b in zip(to_arrays(last), to_arrays(end), strict=True):
        np.testing.assert_allclose(a, b, rtol=RTOL)


def test_no_state_is_zeros(ids):
    zeros = [np.zeros((1, B, H)), np.zeros((1, B, H))]
    assert from_arrays(None) is None
    assert np.array_equal(make()(ids)[0].data, make()(ids, from_arrays(zeros))[0].data)


@EACH_CELL
def test_every_weight_gets_a_gradient(cell, ids):
    model = make(cell, layers=2)
    logits, _state = model(ids)
    cross_entropy(logits.reshape(-1, V), np.roll(ids, -1).reshape(-1)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert np.abs(parameter.grad).max() > 0, name


def test_the_carried_state_holds_no_graph(ids):
    model = make()
    _logits, state = model(ids)
    logits, _state = model(ids[:1], from_arrays(to_arrays(state)))
    logits.sum().backward()  # backward through one step; the graph of the first call is not used
    with no_grad():
        assert not model(ids)[0].requires_grad


def test_dropout_draws_from_the_seeded_generator_in_training_only(ids):
    model = make(layers=2, dropout=0.5)
    random.manual_seed(5)
    a = model(ids)[0].data
    b = model(ids)[0].data
    random.manual_seed(5)
    assert np.array_equal(model(ids)[0].data, a)
    assert not np.array_equal(a, b)
    model.eval()
    assert np.array_equal(model(ids)[0].data, model(ids)[0].data)


def test_dropout_acts_on_what_goes_into_each_layer(ids, monkeypatch):
    between = make(layers=2, dropout=0.5)
    between.dropout.p = between.embedding_dropout.p = 0.0
    assert not np.array_equal(between(ids)[0].data, between(ids)[0].data)
    model, seen = make(layers=1, dropout=0.3), []
    assert (model.embedding_dropout.p, model.dropout.p) == (pytest.approx(0.1), 0.3)
    for name in ("embedding_dropout", "dropout"):
        monkeypatch.setattr(model, name, lambda x: seen.append(x) or x * 0)
    logits, state = model(ids)
    embedded, out = seen
    assert np.array_equal(embedded.data, model.embedding(ids).data)
    assert np.array_equal(out.data, model.rnn(embedded * 0)[0].data)
    assert np.array_equal(to_arrays(state)[0][-1], out.data[-1])  # the recurrent connections have no dropout
    assert np.array_equal(logits.data, np.broadcast_to(model.linear.bias.data, logits.shape))


def test_a_seed_fixes_the_weights():
    a, b = make().state_dict(), make().state_dict()
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_an_unknown_cell_is_named():
    with pytest.raises(ValueError, match="cell must be one of rnn, lstm, gru, got 'qrnn'"):
        LanguageModel(V, "qrnn")


def test_ids_out_of_range_are_refused(ids):
    with pytest.raises(IndexError):
        make()(ids + V)


@EACH_CELL
@pytest.mark.parametrize("layers", [1, 2])
def test_steps_are_the_forward_without_dropout(cell, layers, ids, record):
    model = make(cell, layers=layers, dropout=0.5)
    with no_grad():
        expected, end = model.eval()(ids)
        _, state = model(ids[:2])
    model.train()
    states = step_states(to_arrays(state))
    for t in range(2, T):
        logits, states = model.step(ids[t], states)
        np.testing.assert_allclose(logits, expected.data[t], rtol=0, atol=RTOL)
    for k, after in enumerate(states):
        for a, b in zip(after, to_arrays(end), strict=True):
            np.testing.assert_allclose(a, b[k], rtol=0, atol=RTOL)
