"""Arrays on a GPU: moving them, and everything in the engine on a stand-in for them that refuses to mix."""

import sys

import numpy as np
import pytest

import minirnn
from minirnn import Tensor, grad, nn, optim
from minirnn.autograd import devices, ops
from minirnn.language import CharTokenizer
from minirnn.language.beam import beam_search
from minirnn.language.model import LanguageModel
from minirnn.language.sampling import generate
from minirnn.language.scheduled_sampling import mixed_inputs
from minirnn.recurrent import backends, sequence
from tests.doubles import fake_cupy
from tests.doubles.strict_array import StrictArray

pytestmark = pytest.mark.usefixtures("gpu")


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, dtype=np.float32):
    return rng(sum(shape)).normal(size=shape).astype(dtype)


def there(array):
    return devices.to(array, "cupy")


def same(host, device):
    """device: an array on the GPU with the bits of host."""
    assert type(device) is StrictArray
    assert device.dtype == host.dtype
    np.testing.assert_array_equal(device.host, host)


# ------------------------------------------------------------------------------------------------ moving


def test_arrays_move_there_and_back():
    a = normal(2, 3)
    b = there(a)
    same(a, b)
    assert devices.device_of(a) == devices.device_of(2.0) == devices.device_of(np.float32(1)) == "cpu"
    assert devices.device_of(b) == "cupy"
    assert devices.to(a, "cpu") is a
    assert devices.to(b, "cupy") is b
    assert devices.host(a) is a
    back = devices.host(b)
    assert type(back) is np.ndarray
    np.testing.assert_array_equal(back, a)
    back[:] = 0
    assert devices.host(b).any()
    assert devices.module_of(a) is np
    assert devices.module_of(b) is sys.modules["cupy"]


def test_an_unknown_device_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match="device: expected one of 'cpu', 'cupy', got 'tpu'"):
        devices.to(normal(2), "tpu")


def test_like_moves_from_the_host_only():
    a, b = normal(2), there(normal(3))
    assert devices.like(a, a) is a
    same(a, devices.like(a, b))
    with pytest.raises(TypeError, match=r"two devices, cupy \(shape \(3,\)\) and cpu \(shape \(2,\)\)"):
        devices.like(b, a)


@pytest.mark.parametrize(
    ("cupy", "expected"),
    [
        (None, "CuPy is not installed; pip install 'minirnn[gpu]'"),
        (fake_cupy.module(devices=0), "CuPy 14.2.0 finds no GPU"),
        (
            fake_cupy.module(error="cudaErrorInsufficientDriver: the driver is too old"),
            "CuPy 14.2.0 can't use a GPU here: cudaErrorInsufficientDriver: the driver is too old. It needs an NVIDIA",
        ),
    ],
)
def test_without_a_gpu_the_error_says_why(monkeypatch, cupy, expected):
    if cupy is None:
        monkeypatch.setitem(sys.modules, "cupy", None)
        monkeypatch.setattr(devices.importlib, "import_module", _not_installed)
    else:
        monkeypatch.setitem(sys.modules, "cupy", cupy)
    lstm = nn.LSTM(2, 3)
    before = lstm.weight_hh_l0.data
    for move in (lambda: devices.to(normal(2), "cupy"), lambda: lstm.to("cupy"), lambda: Tensor([1.0]).to("cupy")):
        with pytest.raises(devices.DeviceError) as raised:
            move()
        assert str(raised.value).startswith(expected)
        assert "\n" not in str(raised.value)
    assert lstm.weight_hh_l0.data is before


def _not_installed(name):
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_a_tensor_moves_with_its_gradient():
    x = Tensor(normal(2, 3), requires_grad=True)
    y = x.to("cupy")
    same(x.data, y.data)
    assert x.to("cpu") is x
    assert y.to("cupy") is y
    (y * y).sum().backward()
    assert type(x.grad) is np.ndarray
    np.testing.assert_array_equal(x.grad, 2 * x.data)
    (g,) = grad((x.to("cupy") ** 3).sum(), x, create_graph=True)
    (h,) = grad(g.sum(), x)
    np.testing.assert_allclose(h.data, 6 * x.data, rtol=1e-6)
    z = Tensor(there(normal(2)), requires_grad=True)
    (z.to("cpu") * 2.0).sum().backward()
    same(np.full(2, 2, np.float32), z.grad)


def test_a_tensor_leaves_the_gpu_only_when_told():
    t = Tensor(there(normal(2)))
    assert type(t.numpy()) is np.ndarray
    assert t[0].item() == t.tolist()[0] == float(t[0])
    assert f"{t[0]:.2f}" == f"{t[0].item():.2f}"
    assert [10, 20][Tensor(there(np.array(1)))] == 20
    with pytest.raises(TypeError, match=r"\.numpy\(\) copies it to the host"):
        np.asarray(t)


@pytest.mark.parametrize(
    "mix",
    [
        lambda t, a: t + a,
        lambda t, a: a @ t,
        lambda t, a: t * np.array(2.0),
        lambda t, a: Tensor(a) * t,
        lambda t, a: np.where(a > 0, t, 0.0),
        lambda t, a: np.where(t.data > 0, Tensor(a), 0.0),
        lambda t, a: np.concatenate([t, a]),
        lambda t, a: Tensor(a)[Tensor(there(np.array([0, 1])))],
        lambda t, a: nn.Linear(3, 2)(t),
        lambda t, a: nn.mse_loss(t, a),
    ],
)
def test_arrays_of_two_devices_are_refused_by_name(mix):
    t, a = Tensor(there(normal(3, 3)), requires_grad=True), normal(3, 3)
    with pytest.raises(TypeError, match=r"\w+: arrays on two devices, .*(cpu.* and cupy|cupy.* and cpu)"):
        mix(t, a)


def test_indices_from_the_host_are_checked_and_moved_once():
    a = normal(4, 3)
    for index in ([0, 3, 3], np.array([1, -1]), (slice(None), np.array([2, 0])), np.array([True, False, True, True])):
        x, t = Tensor(a, requires_grad=True), Tensor(there(a), requires_grad=True)
        same(x[index].data, t[index].data)
        (x[index] * x[index]).sum().backward()
        (t[index] * t[index]).sum().backward()
        same(x.grad, t.grad)
    t = Tensor(there(a))
    for wrong in (np.array([4]), [-5], (np.array([0]), np.array([3]))):
        with pytest.raises(IndexError, match="out of bounds"):
            t[wrong]
    ids = there(np.array([0, 1]))
    x = Tensor(there(a), requires_grad=True)
    y = x[ids]
    ids[...] = 2
    y.sum().backward()
    same(np.repeat([1, 1, 0, 0], 3).reshape(4, 3).astype(np.float32), x.grad)


def test_numbers_and_arrays_of_no_axes_keep_their_shape():
    t = Tensor(there(np.arange(3, dtype=np.float32)), requires_grad=True)
    y = np.stack([t[0], 2.0, t[2]])
    assert y.shape == (3,)
    y.sum().backward(3.0)
    same(np.array([3, 0, 3], np.float32), t.grad)
    zero = Tensor(there(np.float32(2).reshape(())), requires_grad=True)
    (zero[None] * 3.0).sum().backward()
    assert zero.grad.shape == ()
    with pytest.raises(ValueError, match=r"expected the output's shape \(3,\), got \(\)"):
        (t * 2.0).backward(1.0)
    assert np.outer(2.0, t).shape == (1, 3)
    assert ops.index_add(there(np.ones(1)), None, ()).shape == ()


# ------------------------------------------------------------------------------------------------ kernels


def test_the_kernels_follow_the_arrays(monkeypatch):
    monkeypatch.setattr(backends, "_process", None)
    monkeypatch.delenv("MINIRNN_KERNELS", raising=False)
    a = normal(2)
    assert backends.chosen(there(a)).name == "cupy"
    assert backends.chosen(a).name == "numba"
    with minirnn.kernels("cupy"):
        assert backends.chosen(there(a)).name == "cupy"
        with pytest.raises(
            TypeError, match=r'cupy kernels can\'t take arrays of numpy float32; minirnn.kernels\("numba'
        ):
            backends.chosen(a)
    monkeypatch.setenv("MINIRNN_KERNELS", "numba")
    with pytest.raises(
        TypeError, match=r'numba kernels can\'t take arrays of cupy float32; minirnn.kernels\("cupy"\) can'
    ):
        backends.chosen(there(a))
    with pytest.raises(TypeError, match="a recurrent layer: arrays on two devices"):
        backends.chosen(a, there(a))


# ------------------------------------------------------------------------------------------------ modules


def twins(build):
    """The same module on the host and on the GPU."""
    minirnn.manual_seed(3)
    host = build()
    minirnn.manual_seed(3)
    return host, build().to("cupy")


def compare(host, device, call, *arrays):
    """call(module, *tensors) -> Tensors: their values and all gradients are the same bits on both."""
    with minirnn.kernels("numpy"):
        expected = results(host, call, arrays)
    for a, b in zip(expected, results(device, call, map(there, arrays)), strict=True):
        same(a, b)


def results(module, call, arrays):
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    minirnn.manual_seed(7)
    ys = call(module, *xs)
    sum((y * y).sum() for y in ys).backward()
    return [y.data for y in ys] + [p.grad for p in module.parameters()] + [x.grad for x in xs]


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
        again, _ = module(x, state)  # the state of one call is where the next one wants it
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
    step = nn.LSTM._one_step
    monkeypatch.setattr(nn.LSTM, "_one_step", lambda *args: steps.append(type(args[1])) or step(*args))
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
        assert steps == [np.ndarray, StrictArray]  # the quick way; unbatched input goes another
        cell = nn.GRUCell(2, 3).to("cupy")
        assert type(cell(there(normal(1, 2)), there(normal(1, 3))).data) is StrictArray


def test_inputs_on_another_device_than_the_parameters_are_refused():
    device, x = nn.LSTM(2, 3).to("cupy"), normal(4, 1, 2)
    with pytest.raises(TypeError, match="x: it is on cpu, the parameters are on cupy"):
        device(x)
    with pytest.raises(TypeError, match="c0: it is on cpu, the parameters are on cupy"):
        device(there(x), (there(normal(1, 1, 3)), normal(1, 1, 3)))
    with pytest.raises(TypeError, match="x: it is on cupy, the parameters are on cpu"):
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


# ------------------------------------------------------------------------------------------------ optimisers


OPTIMIZERS = [
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adam", {"weight_decay": 0.1}),
    ("AdamW", {}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimisers_stay_on_their_device_and_their_state_moves(name, options):
    def steps(module, place, optimizer, count):
        for k in range(count):
            for p in module.parameters():
                p.grad = place(rng(k).normal(size=p.shape).astype(np.float32))
            optimizer.step()

    host, device = twins(lambda: nn.Linear(3, 4))
    a, b = (getattr(optim, name)(m.parameters(), lr=0.1, **options) for m in (host, device))
    steps(host, lambda g: g, a, 3)
    steps(device, there, b, 3)
    for s, t in zip(a.state_dict()["state"], b.state_dict()["state"], strict=True):
        assert all(type(t[k]) is type(s[k]) for k in s)
        assert all(np.array_equal(t[k], s[k]) for k in s)
    c = getattr(optim, name)(device.parameters(), lr=0.1)
    if name in ("SGD", "RMSprop"):
        c.momentum = 0.1
    c.load_state_dict(a.state_dict())
    steps(host, lambda g: g, a, 2)
    steps(device, there, c, 2)
    for p, q in zip(host.parameters(), device.parameters(), strict=True):
        same(p.data, q.data)
    device.to("cpu")
    with pytest.raises(TypeError, match=r"float32 on cpu, its \w+ is float32 on cupy: make a new optimiser after .to"):
        steps(device, lambda g: g, c, 1)


@pytest.mark.parametrize("size", [1.0, 1e-30, 1e30, 0.0, np.inf, np.nan])
def test_clipping_stays_on_its_device(size):
    def clipped(place):
        t = [Tensor(place(np.zeros(n, np.float32)), requires_grad=True) for n in (3, 2, 0)]
        for p, g in zip(t, ([3, 4, 1], [2, 0], []), strict=True):
            with np.errstate(invalid="ignore"):
                p.grad = place((np.array(g) * size).astype(np.float32))
        norm = optim.clip_grad_norm_(t, 1.0)
        optim.clip_grad_value_(t, 0.5)
        return norm, [p.grad for p in t]

    (a, expected), (b, found) = clipped(lambda g: g), clipped(there)
    np.testing.assert_equal(b, a)
    for g, h in zip(expected, found, strict=True):
        same(g, h)


def test_clipping_reads_back_once(monkeypatch):
    grads = [Tensor(there(normal(n)), requires_grad=True) for n in (2, 3, 4)]
    for t in grads:
        t.grad = t.data
    read = []
    get = StrictArray.get
    monkeypatch.setattr(StrictArray, "get", lambda self: read.append(self.shape) or get(self))
    monkeypatch.delattr(StrictArray, "__float__")
    optim.clip_grad_norm_(grads, 0.1)
    assert read == [(3,)]


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
    assert all(type(part.data) is StrictArray and part.is_leaf for part in sequence.detach(state))
