"""nn.RNN, nn.LSTM, nn.GRU and their cells: equality with PyTorch in float64, and errors for wrong arguments."""

import contextlib
import dataclasses
import itertools

import numpy as np
import pytest

import minirnn
import minirnn_kernels
from minirnn import Tensor, grad, manual_seed, nn, no_grad
from minirnn.recurrent.state import from_parts, parts, to_arrays
from minirnn_kernels.cell import CELLS

KINDS = ("rnn-tanh", "rnn-relu", "lstm", "gru")
PEER = 1e-10  # float64, sums of at most a few hundred terms of order 1: two correct programs agree to 1e-13


def make(library, kind, input_size, hidden_size, layers=1, cell=False, **options):
    """Return a recurrent module of minirnn or PyTorch, given minirnn's name of its kind."""
    kind, _, nonlinearity = kind.partition("-")
    options |= {"nonlinearity": nonlinearity} if nonlinearity else {}
    if cell:
        return getattr(library, kind.upper() + "Cell")(input_size, hidden_size, **options)
    return getattr(library, kind.upper())(input_size, hidden_size, layers, **options)


def state_count(kind):
    return len(CELLS[kind.partition("-")[0]].states)


GRID = list(
    itertools.product(
        KINDS,
        (1, 3, 15),  # B
        (1, 2, 13),  # T
        (1, 11),  # I
        (1, 12),  # H
        (1, 2, 3),  # layers
        (False, True),  # bidirectional
        (False, True),  # bias
        (False, True),  # initial state
        (False, True),  # lengths
    )
)


def compare_with_pytorch(case, seed):
    torch = pytest.importorskip("torch", reason="the comparison needs PyTorch (pip install '.[peers]')")
    torch.set_num_threads(1)  # Numba can raise the number above OMP_NUM_THREADS; all arrays here are tiny
    kind, B, T, I, H, layers, bidirectional, bias, with_state, with_lengths = case
    options = {"bidirectional": bidirectional, "bias": bias}
    theirs = make(torch.nn, kind, I, H, layers, dtype=torch.float64, **options)
    ours = make(nn, kind, I, H, layers, dtype=np.float64, **options)
    rng = np.random.default_rng(seed)
    ours.load_state_dict({name: rng.uniform(-0.8, 0.8, p.shape) for name, p in theirs.named_parameters()})
    theirs.load_state_dict({name: torch.tensor(a) for name, a in ours.state_dict().items()})
    states = state_count(kind)
    count = layers * (1 + bidirectional)
    x = rng.standard_normal((T, B, I))
    initial = [rng.uniform(-1, 1, (count, B, H)) for _ in range(states)] if with_state else []
    lengths = rng.integers(1, T + 1, B) if with_lengths else None
    upstream = [rng.standard_normal((T, B, H * (1 + bidirectional)))]
    upstream += [rng.standard_normal((count, B, H)) for _ in range(states)]

    leaves = [Tensor(a, requires_grad=True) for a in (x, *initial)]
    state = from_parts(leaves[1:]) if initial else None
    out, final = ours(leaves[0], state, lengths)
    results = [out, *parts(final)]
    grads = grad(results, [*leaves, *ours.parameters()], upstream)

    torch_leaves = [torch.tensor(a, requires_grad=True) for a in (x, *initial)]
    torch_state = from_parts(torch_leaves[1:]) if initial else None
    fed = torch_leaves[0]
    rnn_utils = torch.nn.utils.rnn
    if with_lengths:
        fed = rnn_utils.pack_padded_sequence(fed, torch.tensor(lengths), enforce_sorted=False)
    torch_out, torch_final = theirs(fed, torch_state)
    if with_lengths:
        torch_out, _ = rnn_utils.pad_packed_sequence(torch_out, total_length=T)
    torch_results = [torch_out, *parts(torch_final)]
    torch_grads = torch.autograd.grad(
        torch_results, [*torch_leaves, *theirs.parameters()], [torch.tensor(u) for u in upstream]
    )
    names = ["out", "h_n", "c_n"][: 1 + states] + ["x", "h0", "c0"][: len(leaves)]
    names += [name for name, _ in theirs.named_parameters()]
    pairs = zip(names, [*results, *grads], [*torch_results, *torch_grads], strict=True)
    for name, a, b in pairs:
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=PEER, atol=PEER, err_msg=f"{name} of {case}")


@pytest.mark.parametrize("kind", KINDS)
def test_equal_pytorch_sampled(kind, record):
    cases = [case for case in GRID if case[0] == kind]
    for i in np.random.default_rng(7).choice(len(cases), 300 if record == "numpy" else 60, replace=False):
        compare_with_pytorch(cases[i], seed=int(i))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_equal_pytorch_whole_grid(kind, record):
    for i, case in enumerate(case for case in GRID if case[0] == kind):
        compare_with_pytorch(case, seed=i)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_cells_equal_pytorch(kind, batch):
    torch = pytest.importorskip("torch", reason="the comparison needs PyTorch (pip install '.[peers]')")
    I, H = 5, 4
    theirs = make(torch.nn, kind, I, H, cell=True, dtype=torch.float64)
    ours = make(nn, kind, I, H, cell=True, dtype=np.float64)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal((*batch, n)) for n in (I, *[H] * state_count(kind))]
    leaves, torch_leaves = [Tensor(a, True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    results = parts(ours(leaves[0], from_parts(leaves[1:])))
    torch_results = parts(theirs(torch_leaves[0], from_parts(torch_leaves[1:])))
    upstream = [rng.standard_normal(r.shape) for r in results]
    grads = grad(results, [*leaves, *ours.parameters()], upstream)
    torch_grads = torch.autograd.grad(
        torch_results, [*torch_leaves, *theirs.parameters()], [torch.tensor(u) for u in upstream]
    )
    for a, b in zip([*results, *grads], [*torch_results, *torch_grads], strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=PEER, atol=PEER)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_step_by_step_is_the_layer(kind):
    rng = np.random.default_rng(0)
    layer = make(nn, kind, 3, 4, dtype=np.float64)
    cell = make(nn, kind, 3, 4, cell=True, dtype=np.float64)
    cell.load_state_dict({name.removesuffix("_l0"): a for name, a in layer.state_dict().items()})
    x = rng.standard_normal((6, 2, 3))
    out, final = layer(Tensor(x))
    state = None
    for x_t, out_t in zip(x, out, strict=True):
        state = cell(Tensor(x_t), state)
        np.testing.assert_allclose(parts(state)[0].data, out_t.data, rtol=1e-12)
    for a, b in zip(parts(state), parts(final), strict=True):
        np.testing.assert_allclose(a.data, b.data[0], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_batch_first_and_unbatched_are_the_same_sequences(kind):
    x = np.random.default_rng(1).standard_normal((5, 3, 2))
    manual_seed(0)
    time_first = make(nn, kind, 2, 4, 2, dtype=np.float64, bidirectional=True)
    batch_first = make(nn, kind, 2, 4, 2, dtype=np.float64, bidirectional=True, batch_first=True)
    batch_first.load_state_dict(time_first.state_dict())
    out, final = time_first(x)
    swapped, final_too = batch_first(x.swapaxes(0, 1))
    np.testing.assert_array_equal(swapped.data, out.data.swapaxes(0, 1))
    np.testing.assert_array_equal(parts(final_too)[0].data, parts(final)[0].data)
    single, single_final = time_first(x[:, 1])
    np.testing.assert_allclose(single.data, out.data[:, 1], rtol=1e-12)
    np.testing.assert_allclose(parts(single_final)[0].data, parts(final)[0].data[:, 1], rtol=1e-12)


def test_parameters_are_named_shaped_and_ordered_as_in_pytorch():
    lstm = nn.LSTM(3, 4, 2, bidirectional=True)
    shapes = {name: p.shape for name, p in lstm.named_parameters()}
    assert list(shapes)[:5] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l0_reverse"]
    assert shapes["weight_ih_l1_reverse"] == (16, 8)
    assert shapes["weight_hh_l1"] == (16, 4)
    assert shapes["bias_hh_l0"] == (16,)
    assert all(p.dtype == np.float32 and abs(p.data).max() <= 0.5 and p.data.std() > 0.1 for p in lstm.parameters())


def test_float32_stays_float32():
    gru = nn.GRU(3, 4, 2, bidirectional=True)
    x = Tensor(np.ones((5, 2, 3), np.float32), requires_grad=True)
    out, h_n = gru(x, lengths=[2, 5])
    (out.sum() + h_n.sum()).backward()
    assert {out.dtype, h_n.dtype, x.grad.dtype, *(p.grad.dtype for p in gru.parameters())} == {np.dtype(np.float32)}


def test_dropout_acts_between_layers_in_training_only():
    manual_seed(5)
    lstm = nn.LSTM(3, 8, 2, dropout=0.5)
    single = nn.LSTM(3, 8)
    single.load_state_dict({k: v for k, v in lstm.state_dict().items() if k.endswith("l0")})
    x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    with no_grad():
        manual_seed(1)
        first, second = lstm(x)[0].data, lstm(x)[0].data
        manual_seed(1)
        again = lstm(x)[0].data
        lstm.eval()
        quiet, quiet_too = lstm(x)[0].data, lstm(x)[0].data
        h_n = lstm.train()(x)[1][0].data
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(quiet, quiet_too)
    np.testing.assert_array_equal(h_n[0], single(x)[1][0].data[0])  # no dropout in the first layer itself


def test_inference_equals_training_up_to_rounding():
    for kind in KINDS:
        module = make(nn, kind, 3, 5, 2, bidirectional=True, dtype=np.float64)
        x = np.random.default_rng(0).standard_normal((6, 4, 3))
        with no_grad():
            quiet = module(x, lengths=[1, 6, 3, 2])[0]
        assert not quiet.requires_grad
        np.testing.assert_allclose(quiet.data, module(x, lengths=[1, 6, 3, 2])[0].data, rtol=1e-13)


def test_an_empty_batch_works():
    out, (h_n, c_n) = nn.LSTM(3, 4, 2)(np.zeros((5, 0, 3), np.float32))
    assert out.shape == (5, 0, 4)
    assert h_n.shape == c_n.shape == (2, 0, 4)


def test_nan_passes_through():
    x = np.zeros((3, 2, 3), np.float32)
    x[1, 0, 0] = np.nan
    out, _ = nn.LSTM(3, 4)(x)
    assert np.isnan(out.data[1:, 0]).all()
    assert np.isfinite(out.data[:, 1]).all()
    assert np.isfinite(out.data[0]).all()


X = np.zeros((5, 2, 3), np.float32)
H0 = np.zeros((1, 2, 4), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m(X[..., :2]), ValueError, r"x: expected shape \(T, B, 3\) or \(T, 3\), got \(5, 2, 2\)"),
        (lambda m: m(X[0, 0]), ValueError, r"x: expected shape"),
        (lambda m: m(X[:0]), ValueError, r"x: expected at least one time step, got T = 0"),
        (lambda m: m(X.astype(np.float64)), TypeError, r"x: expected dtype float32 like the parameters, got float64"),
        (lambda m: m(X.astype(int)), TypeError, r"x: expected dtype float32 like the parameters, got int64"),
        (lambda m: m([[1.0]]), TypeError, r"x: expected a Tensor or an array, got list"),
        (lambda m: m(X, H0), TypeError, r"state: expected a tuple \(h0, c0\), got ndarray"),
        (lambda m: m(X, (H0, H0[:, :1])), ValueError, r"c0: expected shape \(1, 2, 4\), got \(1, 1, 4\)"),
        (lambda m: m(X, (H0.astype(np.float64), H0)), TypeError, r"h0: expected dtype float32"),
        (lambda m: m(X, lengths=[0, 5]), ValueError, r"lengths: expected values in 1..5, got 0 at index 0"),
        (lambda m: m(X, lengths=[5, 6]), ValueError, r"lengths: expected values in 1..5, got 6 at index 1"),
        (lambda m: m(X, lengths=[5]), ValueError, r"lengths: expected shape \(2,\)"),
        (lambda m: m(X, lengths=[5.0, 2.0]), TypeError, r"lengths: expected integers, got float64"),
    ],
)
@pytest.mark.parametrize("recorded", [True, False])
def test_bad_input_is_named(call, error, message, recorded):
    with contextlib.nullcontext() if recorded else no_grad(), pytest.raises(error, match=message):
        call(nn.LSTM(3, 4))


# ---- single steps without a graph


def drawn_state(kind, shape, rng):
    return from_parts([rng.uniform(-1, 1, shape) for _ in range(state_count(kind))])


def as_tensors(state):
    return from_parts(map(Tensor, parts(state)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (1,), (3,), (0,)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_a_cell_without_a_graph_equals_the_recorded_one(kind, batch, bias, record):
    cell = make(nn, kind, 5, 4, cell=True, dtype=np.float64, bias=bias)
    rng = np.random.default_rng(0)
    x, state = rng.standard_normal((*batch, 5)), drawn_state(kind, (*batch, 4), rng)
    for given in (None, state, as_tensors(state)):
        recorded = cell(Tensor(x), given)
        with no_grad():
            quiet = cell(Tensor(x), given), cell(x, given)
        for made in quiet:
            assert type(made) is type(recorded)
            for a, b in zip(to_arrays(made), to_arrays(recorded), strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)
        assert not any(t.requires_grad for made in quiet for t in parts(made))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_single_step_of_layers_without_a_graph_equals_the_recorded_one(kind, layers, batch_first, record):
    module = make(nn, kind, 5, 4, layers, dtype=np.float64, batch_first=batch_first)
    rng = np.random.default_rng(0)
    x, state = rng.standard_normal((2, 1, 5) if batch_first else (1, 2, 5)), drawn_state(kind, (layers, 2, 4), rng)
    for given in (None, state, as_tensors(state)):
        out, final = module(x, given)
        with no_grad():
            quiet_out, quiet_final = module(x, given)
        for a, b in zip([quiet_out.data, *to_arrays(quiet_final)], [out.data, *to_arrays(final)], strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)
        assert not any(np.shares_memory(quiet_out.data, a) for a in to_arrays(quiet_final))
    frozen = make(nn, kind, 5, 4, layers, dtype=np.float64, batch_first=batch_first)
    frozen.load_state_dict(module.state_dict())
    for parameter in frozen.parameters():
        parameter.requires_grad = False
    np.testing.assert_array_equal(frozen(x, state)[0].data, quiet_out.data)


@pytest.mark.parametrize("kind", KINDS)
def test_two_directions_and_dropout_take_single_steps_too(kind):
    both = make(nn, kind, 5, 4, 2, dtype=np.float64, bidirectional=True)
    x, state = np.ones((1, 2, 5)), drawn_state(kind, (4, 2, 4), np.random.default_rng(0))
    recorded, _ = both(x, state)
    thinned = make(nn, kind, 5, 4, 2, dtype=np.float64, dropout=0.5)
    thinned_state = drawn_state(kind, (2, 2, 4), np.random.default_rng(0))
    with no_grad():
        np.testing.assert_allclose(both(x, state)[0].data, recorded.data, rtol=0, atol=1e-14)
        manual_seed(0)
        draws = [thinned(x, thinned_state)[0].data for _ in range(8)]
        assert any(not np.array_equal(draws[0], d) for d in draws[1:])
        thinned.eval()
        np.testing.assert_array_equal(thinned(x, thinned_state)[0].data, thinned(x, thinned_state)[0].data)
        with pytest.raises(ValueError, match=r"h0: expected shape \(4, 2, 4\), got \(2, 2, 4\)"):
            both(x, thinned_state)
    with pytest.raises(ValueError, match="no single steps"):
        both.step(x[0], [])


def test_steps_without_a_graph_call_the_kernels_step(monkeypatch):
    numpy, calls = minirnn_kernels.get("numpy"), []

    def step(*arguments):
        calls.append(len(arguments))
        return numpy.lstm.step(*arguments)

    record = dataclasses.replace(numpy, lstm=dataclasses.replace(numpy.lstm, step=step))
    monkeypatch.setattr(minirnn_kernels, "get", lambda name: record)
    x, state = X[:1, :, :], (H0, H0)
    with minirnn.kernels("numpy"), no_grad():
        nn.LSTMCell(3, 4)(x[0], (H0[0], H0[0]))
        nn.LSTMCell(3, 4)(x[0, 0])
        nn.LSTM(3, 4, 1)(x, state)
        assert calls == [6, 6, 6]
        nn.LSTM(3, 4)(X)
    with minirnn.kernels("numpy"):
        nn.LSTMCell(3, 4)(x[0], (H0[0], H0[0]))
    assert calls == [6, 6, 6]


CELL_H = np.zeros((2, 4), np.float32)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m(X), ValueError, r"x: expected shape \(B, 3\) or \(3,\), got \(5, 2, 3\)"),
        (lambda m: m(X[0, :, :2]), ValueError, r"x: expected shape \(B, 3\) or \(3,\), got \(2, 2\)"),
        (
            lambda m: m(X[0].astype(np.float64)),
            TypeError,
            r"x: expected dtype float32 like the parameters, got float64",
        ),
        (lambda m: m([1.0]), TypeError, r"x: expected a Tensor or an array, got list"),
        (lambda m: m(X[0], CELL_H), TypeError, r"state: expected a tuple \(h0, c0\), got ndarray"),
        (lambda m: m(X[0], (CELL_H, CELL_H[:1])), ValueError, r"c0: expected shape \(2, 4\), got \(1, 4\)"),
        (lambda m: m(X[0], (CELL_H[:, :3], CELL_H)), ValueError, r"h0: expected shape \(2, 4\), got \(2, 3\)"),
        (lambda m: m(X[0], (CELL_H, CELL_H.astype(np.float64))), TypeError, r"c0: expected dtype float32"),
        (lambda m: m(X[0], (CELL_H, 0)), TypeError, r"c0: expected a Tensor or an array, got int"),
    ],
)
def test_bad_input_of_a_cell_is_named(call, error, message, recorded):
    with contextlib.nullcontext() if recorded else no_grad(), pytest.raises(error, match=message):
        call(nn.LSTMCell(3, 4))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.LSTM(0, 4), "input_size"),
        (lambda: nn.LSTM(3, -1), "hidden_size"),
        (lambda: nn.LSTM(3, 4, 0), "num_layers"),
        (lambda: nn.LSTM(3, 4, dropout=1.5), "dropout"),
        (lambda: nn.RNN(3, 4, nonlinearity="sigmoid"), "nonlinearity"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="sigmoid"), "nonlinearity"),
    ],
)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_states_have_the_documented_argument_names():
    x, h = np.zeros((2, 1, 3), np.float32), np.ones((1, 1, 4), np.float32)
    for module in (nn.RNN(3, 4), nn.GRU(3, 4)):
        np.testing.assert_array_equal(module(x, h0=h)[0].data, module(x, h)[0].data)
    for cell in (nn.RNNCell(3, 4), nn.GRUCell(3, 4)):
        np.testing.assert_array_equal(cell(x[0], h=h[0]).data, cell(x[0], h[0]).data)
