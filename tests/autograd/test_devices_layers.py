"""Layers, losses, initialisers and the language model on a simulated GPU that refuses to mix arrays with the host's."""

import numpy as np
import pytest

import minirnn
from minirnn import Tensor, grad, nn
from minirnn.language import CharTokenizer
from minirnn.language.beam import beam_search
from minirnn.language.model import LanguageModel
from minirnn.language.sampling import generate
from minirnn.language.scheduled_sampling import mixed_inputs
from minirnn.nn import _one_step
from tests.autograd.device_arrays import compare, normal, rng, same, there, twins
from tests.doubles.strict_array import StrictArray

pytestmark = pytest.mark.usefixtures("gpu")


def test_a_module_moves_in_place_with_its_gradients():
    lstm = nn.LSTM(2, 3)
    out, _ = lstm(normal(4, 1, 2))
    loss = out.sum()
    loss.backward(retain_graph=True)
    parameters, state = list(lstm.parameters()), lstm.state_dict()
    grads = [p.grad for p in parameters]
    assert lstm.to("cupy") is lstm
    assert all(a is b for a, b in zip(parameters, lstm.parameters(), strict=True))
    for p, g in zip(parameters, grads, strict=True):
        same(g, p.grad)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()
    for name, value in lstm.state_dict().items():
        assert type(value) is np.ndarray
        np.testing.assert_array_equal(value, state[name])
    lstm.to(np.float64)
    assert lstm.weight_hh_l0.data.dtype == np.float64
    assert type(lstm.weight_hh_l0.data) is StrictArray
    lstm.to("cpu")
    assert all(type(p.data) is type(p.grad) is np.ndarray for p in parameters)
    assert all(p.data.ctypes.data % 64 == 0 for p in parameters)


def test_a_state_dict_of_the_host_loads_to_where_the_module_is():
    host, device = nn.GRU(2, 3), nn.GRU(2, 3).to("cupy")
    device.load_state_dict(host.state_dict())
    for p, q in zip(host.parameters(), device.parameters(), strict=True):
        same(p.data, q.data)
    with pytest.raises(TypeError, match="expected a NumPy array, got one on a GPU"):
        device.load_state_dict({n: p.data for n, p in device.named_parameters()})


LAYERS = [
    (lambda: nn.Linear(3, 4), lambda m, x: [m(x)], [(2, 5, 3)]),
    (lambda: nn.LayerNorm(3), lambda m, x: [m(x)], [(2, 5, 3)]),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.ReLU(), nn.Sigmoid()), lambda m, x: [m(x)], [(5, 3)]),
    (lambda: nn.Dropout(0.4), lambda m, x: [m(x)], [(5, 30)]),
    (lambda: nn.DotAttention(3, 4), lambda m, q, k: list(m(q, k)), [(2, 5, 3), (2, 6, 4)]),
    (lambda: nn.AdditiveAttention(3, 4, 5), lambda m, q, k: list(m(q, k)), [(2, 5, 3), (2, 6, 4)]),
    (lambda: nn.RNNCell(3, 4, nonlinearity="relu"), lambda m, x: [m(x, m(x))], [(2, 3)]),
    (lambda: nn.LSTMCell(3, 4), lambda m, x, h, c: list(m(x, (h, c))), [(2, 3), (2, 4), (2, 4)]),
    (lambda: nn.GRUCell(3, 4), lambda m, x: [m(x, m(x))], [(2, 3)]),
]


@pytest.mark.parametrize(("build", "call", "shapes"), LAYERS)
def test_layers_stay_on_their_device(build, call, shapes):
    compare(*twins(build), call, *(normal(*shape) for shape in shapes))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("lengths", [None, [4, 2, 5]])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers_stay_on_their_device(kind, lengths, bidirectional):
    def call(module, x):
        out, state = module(x, None, lengths)
        again, _ = module(x, state)  # the state of one call is on the device that the next call needs
        return [out, again, *(state if isinstance(state, tuple) else [state])]

    compare(*twins(lambda: kind(2, 3, 2, dropout=0.3, bidirectional=bidirectional)), call, normal(5, 3, 2))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_gradients_of_gradients_stay_on_their_device(kind):
    module = twins(lambda: kind(2, 3, bidirectional=True))[1]
    x = Tensor(there(normal(4, 2, 2)), requires_grad=True)
    out, _ = module(x, None, there(np.array([4, 2])))
    (g,) = grad((out * out).sum(), x, create_graph=True)
    (h,) = grad((g * g).sum(), x)
    assert type(h.data) is StrictArray


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_single_step_without_a_graph_stays_on_its_device(batch_first, monkeypatch):
    steps = []
    stack = _one_step.stack
    monkeypatch.setattr(_one_step, "stack", lambda *args: steps.append(type(args[1])) or stack(*args))
    host, device = twins(lambda: nn.LSTM(2, 3, 2, batch_first=batch_first))
    with minirnn.no_grad():
        for shape in ((1, 1, 2), (1, 2)):
            with minirnn.kernels("numpy"):
                a, state = host(normal(*shape))
                a, state = host(normal(*shape), state)
            b, other = device(there(normal(*shape)))
            b, other = device(there(normal(*shape)), other)
            for p, q in zip((a, *state), (b, *other), strict=True):
                same(p.data, q.data)
        assert steps == [np.ndarray, StrictArray]  # the fast path; unbatched input uses the general path
        cell = nn.GRUCell(2, 3).to("cupy")
        assert type(cell(there(normal(1, 2)), there(normal(1, 3))).data) is StrictArray


def test_inputs_on_another_device_than_the_parameters_are_refused():
    device, x = nn.LSTM(2, 3).to("cupy"), normal(4, 1, 2)
    with pytest.raises(TypeError, match="x: expected an array on the parameters' device, cupy, got one on cpu"):
        device(x)
    with pytest.raises(TypeError, match="c0: expected an array on the parameters' device, cupy, got one on cpu"):
        device(there(x), (there(normal(1, 1, 3)), normal(1, 1, 3)))
    with pytest.raises(TypeError, match="x: expected an array on the parameters' device, cpu, got one on cupy"):
        nn.GRUCell(2, 3)(there(normal(1, 2)))


@pytest.mark.parametrize("where", [lambda a: a, there])
def test_ids_may_be_on_the_host_and_are_checked_wherever_they_are(where):
    host, device = twins(lambda: nn.Embedding(5, 3))
    ids = np.array([[0, 4], [2, 4]])
    for module, given in ((host, ids), (device, where(ids)), (device, where(ids.astype(np.uint8)))):
        module.zero_grad()
        (module(given) ** 2).sum().backward()
    same(host.weight.grad, device.weight.grad)
    same(host(ids).data, device(where(ids)).data)
    for wrong in (-1, 5):
        with pytest.raises(IndexError, match=rf"ids: {wrong} at index \(1,\) is out of range for 5 embeddings"):
            device(where(np.array([0, wrong])))


@pytest.mark.parametrize("where", [lambda a: a, there])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ids", [[1, 0, 3, 2], [1, -100, 3, -100]])
def test_losses_stay_on_their_device(where, reduction, ids):
    a, t = normal(4, 5), np.array(ids)
    x, y = Tensor(a, requires_grad=True), Tensor(there(a), requires_grad=True)
    expected, found = nn.cross_entropy(x, t, reduction=reduction), nn.cross_entropy(y, where(t), reduction=reduction)
    same(expected.data, found.data)
    expected.sum().backward()
    found.sum().backward()
    same(x.grad, y.grad)
    with pytest.raises(IndexError, match="targets: 5 at index"):
        nn.cross_entropy(y, where(np.array([0, 5, 1, 1])))
    few = where(np.array([1, 0, 3, 2], np.uint8))
    assert nn.cross_entropy(y, few).item() == nn.cross_entropy(x, np.array([1, 0, 3, 2])).item()
    (g,) = grad(nn.cross_entropy(y, where(t), reduction="sum"), y, create_graph=True)
    assert type(grad((g * g).sum(), y)[0].data) is StrictArray
    assert type(nn.mse_loss(y, there(a + 1), reduction).data) is StrictArray


def test_initialisers_draw_the_same_numbers_everywhere():
    calls = [
        lambda m: nn.init.orthogonal_(m.weight_hh_l0, rng=rng()),
        lambda m: nn.init.xavier_uniform_(m.weight_ih_l0, rng=rng()),
        lambda m: nn.init.normal_(m.weight_hh_l0, rng=rng()),
        lambda m: nn.init.constant_(m.bias_ih_l0, 2),
        lambda m: nn.init.zeros_(m.bias_hh_l0),
        lambda m: nn.init.forget_bias_(m, 1.5),
        lambda m: nn.init.chrono_(m, 20, rng=rng()),
    ]
    host, device = twins(lambda: nn.LSTM(2, 3))
    for call in calls:
        call(host)
        call(device)
        for p, q in zip(host.parameters(), device.parameters(), strict=True):
            same(p.data, q.data)


# ------------------------------------------------------------------------------------------------ the language model


def text_model(cell):
    tokenizer = CharTokenizer.from_text("abcdefgh\n")
    return tokenizer, *twins(lambda: LanguageModel(tokenizer.vocab_size, cell, 6, 2, 4, dropout=0.2))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_language_model_writes_the_same_text_everywhere(cell):
    tokenizer, host, device = text_model(cell)
    with minirnn.kernels("numpy"):
        expected = "".join(generate(host, tokenizer, "abc", 20, seed=3))
        likely = beam_search(host, tokenizer, "abc", 4, 3)
        mixed = mixed_inputs(host, rng().integers(1, 5, (6, 3)), None, 0.3, rng(1))
    assert "".join(generate(device, tokenizer, "abc", 20, seed=3)) == expected
    assert beam_search(device, tokenizer, "abc", 4, 3) == likely
    np.testing.assert_array_equal(mixed_inputs(device, rng().integers(1, 5, (6, 3)), None, 0.3, rng(1)), mixed)


def test_detach_stays_on_the_device():
    lstm = nn.LSTM(2, 3).to("cupy")
    _, state = lstm(there(normal(3, 1, 2)))
    assert all(type(part.data) is StrictArray and part.is_leaf for part in nn.detach(state))
