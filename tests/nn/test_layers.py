"""Layers: values and gradients by hand, by finite differences and against PyTorch; and errors."""

import numpy as np
import pytest

import minirnn
from minirnn import Tensor, nn, random

# PyTorch computes the same sums in another order: a few dozen roundings of float64, 1.1e-16 each.
PEER = {"rtol": 1e-12, "atol": 1e-13}
# Central differences with step 1e-6 in float64: rounding (1e-16/1e-6) and the square of the step leave about 1e-9.
DIFFERENCE = {"rtol": 1e-7, "atol": 1e-8}


def rng(seed=0):
    return np.random.default_rng(seed)


def check_gradients(module, x, seed=7):
    """Compare the gradients of <w, module(x)> for x and every parameter with differences along a random direction."""
    generator = rng(seed)
    t = Tensor(x, requires_grad=True)
    y = module(t)
    w = generator.standard_normal(y.shape)
    y.backward(w)
    for leaf in (t, *module.parameters()):
        direction = generator.standard_normal(leaf.shape)
        values = leaf.data.copy()
        sides = []
        for step in (1e-6, -1e-6):
            leaf.data[...] = values + step * direction
            sides.append((module(Tensor(t.data)).data * w).sum())
        leaf.data[...] = values
        np.testing.assert_allclose((leaf.grad * direction).sum(), (sides[0] - sides[1]) / 2e-6, **DIFFERENCE)


def compare(ours, theirs, x, torch, seed=11):
    """Compare the outputs and all gradients of two modules with equal parameters, for one random upstream gradient."""
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    t = Tensor(x, requires_grad=x.dtype.kind == "f")
    u = torch.tensor(x, requires_grad=x.dtype.kind == "f")
    y, z = ours(t), theirs(u)
    np.testing.assert_allclose(y.data, z.detach().numpy(), **PEER)
    upstream = rng(seed).standard_normal(y.shape)
    y.backward(upstream)
    z.backward(torch.from_numpy(upstream))
    if t.requires_grad:
        np.testing.assert_allclose(t.grad, u.grad.numpy(), **PEER)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), err_msg=name, **PEER)


def test_linear_by_hand():
    linear = nn.Linear(2, 3)
    linear.weight.data[:] = [[1, 2], [3, 4], [5, 6]]
    linear.bias.data[:] = [10, 20, 30]
    y = linear(np.array([[1, 1], [2, -1]], np.float32))
    np.testing.assert_array_equal(y.data, [[13, 27, 41], [10, 22, 34]])
    y.sum().backward()
    np.testing.assert_array_equal(linear.weight.grad, [[3, 0]] * 3)
    np.testing.assert_array_equal(linear.bias.grad, [2, 2, 2])


@pytest.mark.parametrize("shape", [(2,), (5, 2), (3, 5, 2), (4, 3, 5, 2), (0, 2), (3, 0, 2)])
def test_linear_takes_any_leading_shape(shape):
    linear = nn.Linear(2, 3, dtype=np.float64, rng=rng())
    x = rng(1).standard_normal(shape)
    y = linear(x)
    assert y.shape == (*shape[:-1], 3)
    np.testing.assert_allclose(y.data, x @ linear.weight.data.T + linear.bias.data, **PEER)
    check_gradients(linear, x)


def test_linear_starts_uniform_within_the_fan():
    linear = nn.Linear(400, 300, rng=rng(5))
    for p in linear.parameters():
        assert p.dtype == np.float32
        assert 0.95 / 20 < np.abs(p.data).max() <= 1 / 20
        assert abs(p.data.mean()) < 0.1 / 20
    again = nn.Linear(400, 300, rng=rng(5), dtype=np.float64)
    np.testing.assert_array_equal(linear.weight.data, again.weight.data.astype(np.float32))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2,), (5, 2), (3, 5, 2)])
def test_linear_equals_torch(bias, shape):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    theirs = torch.nn.Linear(2, 3, bias=bias, dtype=torch.float64)
    compare(nn.Linear(2, 3, bias=bias, dtype=np.float64), theirs, rng(2).standard_normal(shape), torch)


def test_linear_refuses_wrong_input():
    linear = nn.Linear(2, 3)
    with pytest.raises(ValueError, match=r"x: expected float32 \(\.\.\., 2\), got float32 \(4, 3\)"):
        linear(np.zeros((4, 3), np.float32))
    with pytest.raises(ValueError, match=r"got float32 \(\)"):
        linear(Tensor(1.0))
    with pytest.raises(TypeError, match=r"x: expected float32 \(\.\.\., 2\), got int64 \(4, 2\)"):
        linear(np.zeros((4, 2), np.int64))
    with pytest.raises(TypeError, match="got float64"):
        linear(Tensor(np.zeros((4, 2))))
    with pytest.raises(TypeError, match="got list"):
        linear([[1.0, 2.0]])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Linear(0, 3), ValueError, "in_features: expected an integer >= 1, got 0"),
        (lambda: nn.Linear(3, 2.5), TypeError, r"out_features: expected an integer, got 2\.5"),
        (lambda: nn.Linear(3, 2, dtype=np.int64), TypeError, "dtype: expected"),
        (lambda: nn.Linear(3, 2, rng=1), TypeError, r"rng: expected a np\.random\.Generator or None, got 1"),
        (lambda: nn.Embedding(-1, 3), ValueError, "num_embeddings"),
        (lambda: nn.Embedding(3, "4"), TypeError, "embedding_dim"),
        (lambda: nn.LayerNorm(()), ValueError, "normalized_shape"),
        (lambda: nn.LayerNorm((3, 0)), ValueError, "normalized_shape"),
        (lambda: nn.Dropout(1.5), ValueError, r"p: expected a probability in \[0, 1\], got 1\.5"),
        (lambda: nn.Dropout(float("nan")), ValueError, "p: expected"),
        (lambda: nn.Dropout(0.5, rng=7), TypeError, "rng: expected"),
    ],
)
def test_layers_refuse_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_embedding_adds_up_the_gradients_of_repeated_ids():
    embedding = nn.Embedding(4, 2, dtype=np.float64, rng=rng())
    y = embedding(np.array([[1, 3], [1, 1]]))
    np.testing.assert_array_equal(y.data[1, 0], embedding.weight.data[1])
    y.backward(np.array([[[1.0, 2], [3, 4]], [[5, 6], [7, 8]]]))
    np.testing.assert_array_equal(embedding.weight.grad, [[0, 0], [13, 16], [0, 0], [3, 4]])


@pytest.mark.parametrize("ids", [5, [5, 0], [[1, 1, 0], [6, 6, 1]], np.zeros((3, 0), int)])
def test_embedding_equals_torch(ids):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    theirs = torch.nn.Embedding(7, 3, dtype=torch.float64)
    compare(nn.Embedding(7, 3, dtype=np.float64), theirs, np.asarray(ids), torch)


def test_embedding_starts_normal():
    weight = nn.Embedding(300, 200, rng=rng(3)).weight.data
    assert abs(weight.mean()) < 0.01
    assert abs(weight.std() - 1) < 0.01


def test_embedding_checks_ids_before_it_indexes():
    embedding = nn.Embedding(4, 2)
    with pytest.raises(IndexError, match=r"ids: 4 at index \(1, 0\) is out of range for 4 embeddings \(0\.\.3\)"):
        embedding(np.array([[0, 1], [4, 3]]))
    with pytest.raises(IndexError, match=r"ids: -1 at index \(\) "):
        embedding(-1)
    for ids in (np.zeros(2), [True, False], np.zeros(2, np.float32), ["a"]):
        with pytest.raises(TypeError, match="ids: expected integers"):
            embedding(ids)


@pytest.mark.parametrize("ids", [Tensor([3, 0]), np.array([3, 0], np.uint8), np.array([3, 0], np.int16), (3, 0)])
def test_embedding_takes_integers_of_any_dtype(ids):
    embedding = nn.Embedding(4, 2, rng=rng())
    np.testing.assert_array_equal(embedding(ids).data, embedding.weight.data[[3, 0]])


def test_dropout_zeroes_a_share_and_scales_the_rest():
    x = np.ones((200, 300), np.float32)
    y = nn.Dropout(0.25, rng=rng(4))(Tensor(x)).data
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    # The share of zeros has standard deviation √(p(1-p)/n) = 0.0018.
    assert abs((y == 0).mean() - 0.25) < 0.01


def test_dropout_passes_gradient_where_it_passed_values():
    t = Tensor(rng(1).standard_normal((5, 6)), requires_grad=True)
    y = nn.Dropout(0.5, rng=rng(4))(t)
    y.backward(np.full((5, 6), 3.0))
    np.testing.assert_allclose(t.grad, 3 * y.data / t.data, rtol=1e-15)
    assert 0 < (t.grad == 0).sum() < 30


def test_dropout_does_nothing_in_evaluation_or_at_p_0():
    x = Tensor(np.ones((2, 3), np.float32))
    assert nn.Dropout(0.5).eval()(x) is x
    assert nn.Dropout(0.0)(x) is x
    state = random.get_state()
    nn.Dropout(0.5).eval()(x)
    assert random.get_state() == state


def test_dropout_at_p_1_is_all_zeros():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    y = nn.Dropout(1.0, rng=rng())(x)
    y.sum().backward()
    assert (y.data == 0).all()
    assert (x.grad == 0).all()


def test_dropout_draws_from_the_generator_of_manual_seed():
    x = np.ones((4, 5), np.float32)
    dropout = nn.Dropout(0.5)
    masks = []
    for seed in (1, 1, 2):
        random.manual_seed(seed)
        masks.append(dropout(x))
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()
    assert (dropout(x) != masks[2]).any()


def test_locked_dropout_drops_the_same_units_at_all_steps():
    x = Tensor(np.full((5, 3, 40), 3.0), requires_grad=True)
    locked = nn.LockedDropout(0.25, rng=rng(4))
    y = locked(x)
    assert (y.data == y.data[0]).all()
    np.testing.assert_array_equal(y.data[:1], nn.Dropout(0.25, rng=rng(4))(x.data[:1]))
    assert (y.data[0, 0] != y.data[0, 1]).any()  # each sequence has its own mask
    assert (locked(x).data != y.data).any()  # so has each call
    y.sum().backward()
    np.testing.assert_allclose(x.grad, y.data / 3, rtol=1e-15)
    assert locked.eval()(x) is x


def test_dropout_refuses_ints():
    with pytest.raises(TypeError, match="x: expected float32 or float64, got int64"):
        nn.Dropout(0.5)(np.ones(3, np.int64))


def test_layer_norm_by_hand():
    norm = nn.LayerNorm(2, eps=0.0, dtype=np.float64)
    norm.weight.data[:] = [2, 3]
    norm.bias.data[:] = [1, 0]
    np.testing.assert_allclose(norm(np.array([[1.0, 3], [10, -10]])).data, [[-1, 3], [3, -3]], rtol=1e-15)


def test_layer_norm_of_equal_values_is_the_bias():
    norm = nn.LayerNorm(3)
    x = Tensor(np.full((2, 3), 7, np.float32), requires_grad=True)
    y = norm(x)
    y.sum().backward()
    assert y.dtype == np.float32
    assert (y.data == 0).all()
    assert np.isfinite(x.grad).all()


@pytest.mark.parametrize(("shape", "normalized"), [((5, 3), 3), ((2, 4, 3), (4, 3)), ((3,), (3,))])
def test_layer_norm_gradients(shape, normalized):
    norm = nn.LayerNorm(normalized, dtype=np.float64)
    for p in norm.parameters():
        p.data[...] = rng(8).standard_normal(p.shape)
    check_gradients(norm, rng(9).standard_normal(shape))


@pytest.mark.parametrize(("shape", "normalized"), [((5, 3), 3), ((2, 4, 3), (4, 3)), ((3,), (3,))])
def test_layer_norm_equals_torch(shape, normalized):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    theirs = torch.nn.LayerNorm(normalized, eps=1e-3, dtype=torch.float64)
    generator = rng(6)
    for p in theirs.parameters():
        p.data = torch.from_numpy(generator.standard_normal(p.shape))
    compare(nn.LayerNorm(normalized, eps=1e-3, dtype=np.float64), theirs, generator.standard_normal(shape), torch)


def test_layer_norm_refuses_wrong_shapes():
    with pytest.raises(ValueError, match=r"x: expected float32 \(\.\.\., 4, 3\), got float32 \(4, 4\)"):
        nn.LayerNorm((4, 3))(np.zeros((4, 4), np.float32))


@pytest.mark.parametrize("name", ["Tanh", "ReLU", "Sigmoid"])
def test_activations_equal_torch(name):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x = np.array([[-800.0, -1.5, 0.0], [0.3, 2.0, 800.0]])
    compare(getattr(nn, name)(), getattr(torch.nn, name)(), x, torch)


def test_activations_by_hand():
    x = np.array([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(nn.Tanh()(Tensor(x)).data, np.tanh(x), rtol=1e-15)
    np.testing.assert_array_equal(nn.ReLU()(Tensor(x)).data, [0, 0, 1])
    np.testing.assert_allclose(nn.Sigmoid()(Tensor(x)).data, 1 / (1 + np.exp(-x)), rtol=1e-15)
    for module in (nn.Tanh(), nn.ReLU(), nn.Sigmoid()):
        check_gradients(module, np.array([-1.0, 0.25, 1.0]))


def test_layers_record_nothing_under_no_grad():
    model = nn.Sequential(nn.Linear(3, 3, rng=rng()), nn.LayerNorm(3), nn.Tanh())
    with minirnn.no_grad():
        assert not model(np.ones((2, 3), np.float32)).requires_grad
