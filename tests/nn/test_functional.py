"""Losses: values, first and second derivatives, by hand and against PyTorch; and errors."""

import math

import numpy as np
import pytest

import minirnn
from minirnn import Tensor, nn

# PyTorch computes the same sums in another order: a few dozen roundings of float64, 1.1e-16 each.
PEER = {"rtol": 1e-12, "atol": 1e-13}


def rng(seed=0):
    return np.random.default_rng(seed)


def surprise(x, target):
    """Return -log softmax(x)[target] by its definition."""
    return -math.log(math.exp(x[target]) / sum(math.exp(v) for v in x))


def test_cross_entropy_is_the_mean_surprise():
    x = np.array([[0.0, 1.0, -1.0], [2.0, 0.5, 0.0]])
    expected = [surprise(x[0], 2), surprise(x[1], 0)]
    np.testing.assert_allclose(nn.cross_entropy(x, [2, 0]).item(), np.mean(expected), rtol=1e-14)
    np.testing.assert_allclose(nn.cross_entropy(x, [2, 0], reduction="sum").item(), np.sum(expected), rtol=1e-14)
    np.testing.assert_allclose(nn.cross_entropy(x, [2, 0], reduction="none").data, expected, rtol=1e-14)
    assert nn.cross_entropy(x, [2, 0]).shape == ()


def test_cross_entropy_gradient_is_softmax_minus_onehot():
    x = Tensor(rng(1).standard_normal((4, 3)), requires_grad=True)
    nn.cross_entropy(x, [0, 2, 2, 1]).backward()
    e = np.exp(x.data)
    np.testing.assert_allclose(x.grad, (e / e.sum(1, keepdims=True) - np.eye(3)[[0, 2, 2, 1]]) / 4, rtol=1e-13)


def test_cross_entropy_divides_by_the_rows_that_count():
    x = Tensor(rng(2).standard_normal((3, 4)), requires_grad=True)
    loss = nn.cross_entropy(x, [1, -100, 3])
    np.testing.assert_allclose(loss.item(), (surprise(x.data[0], 1) + surprise(x.data[2], 3)) / 2, rtol=1e-14)
    loss.backward()
    assert (x.grad[1] == 0).all()
    np.testing.assert_array_equal(nn.cross_entropy(x, [2, 2, 2], ignore_index=2, reduction="none").data, [0, 0, 0])


def test_cross_entropy_has_its_classes_along_axis_1():
    x = rng(2).standard_normal((2, 3, 4, 5))
    targets = rng(3).integers(0, 3, (2, 4, 5))
    losses = nn.cross_entropy(x, targets, reduction="none").data
    assert losses.shape == (2, 4, 5)
    for at in np.ndindex(2, 4, 5):
        np.testing.assert_allclose(losses[at], surprise(x[at[0], :, at[1], at[2]], targets[at]), rtol=1e-13)


def test_cross_entropy_with_all_ignored_is_nan_and_its_gradient_0():
    x = Tensor(rng(2).standard_normal((2, 4)), requires_grad=True)
    loss = nn.cross_entropy(x, [-100, -100])
    assert math.isnan(loss.item())
    loss.backward()
    assert (x.grad == 0).all()
    assert nn.cross_entropy(x, [-100, -100], reduction="sum").item() == 0


def test_cross_entropy_survives_large_and_masked_logits():
    x = Tensor(np.array([[1000.0, 0.0, -np.inf], [-1000.0, -1001.0, -np.inf]], np.float32), requires_grad=True)
    loss = nn.cross_entropy(x, [0, 1], reduction="none")
    np.testing.assert_allclose(loss.data, [0, math.log(1 + math.e)], rtol=1e-6)
    loss.sum().backward()
    assert np.isfinite(x.grad).all()
    assert nn.cross_entropy(x, [2, 0]).item() == math.inf


def test_cross_entropy_keeps_float32():
    x = Tensor(rng(3).standard_normal((3, 4)).astype(np.float32), requires_grad=True)
    loss = nn.cross_entropy(x, [1, 0, -100])
    loss.backward()
    assert loss.dtype == x.grad.dtype == np.float32


def test_cross_entropy_walks_a_kept_graph_twice():
    x = Tensor(rng(3).standard_normal((3, 4)), requires_grad=True)
    loss = nn.cross_entropy(x, [1, 0, 2])
    loss.backward(retain_graph=True)
    once = x.grad.copy()
    loss.backward()
    np.testing.assert_allclose(x.grad, 2 * once, rtol=1e-15)
    with pytest.raises(RuntimeError, match="freed"):
        loss.backward()


def test_cross_entropy_leaves_the_logits_alone():
    x = Tensor(rng(3).standard_normal((3, 4)), requires_grad=True)
    before = x.data.copy()
    nn.cross_entropy(x, [1, 0, 2]).backward()
    np.testing.assert_array_equal(x.data, before)


def test_cross_entropy_has_second_derivatives():
    """The Hessian of one row is diag(p) - p pᵀ."""
    x = Tensor(rng(4).standard_normal((1, 4)), requires_grad=True)
    (first,) = minirnn.grad(nn.cross_entropy(x, [2]), x, create_graph=True)
    v = rng(5).standard_normal((1, 4))
    (second,) = minirnn.grad((first * v).sum(), x)
    p = np.exp(x.data[0]) / np.exp(x.data[0]).sum()
    np.testing.assert_allclose(second.data[0], (np.diag(p) - np.outer(p, p)) @ v[0], rtol=1e-12)


CASES = [
    ((5, 4), [0, 3, 3, 1, 2]),
    ((5, 4), [0, -100, 3, -100, 2]),
    ((5, 4), [2, 2, 3, 1, 2]),
    ((4,), 3),
    ((4,), 2),
    ((2, 4, 3), [[0, 1, 3], [3, -100, 2]]),
    ((2, 4, 2, 1), [[[0], [1]], [[2], [2]]]),
    ((2, 4), [-100, -100]),
    ((1, 1), [0]),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignore_index", [-100, 2])
@pytest.mark.parametrize(("shape", "targets"), CASES)
def test_cross_entropy_equals_torch(shape, targets, ignore_index, reduction):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    if ignore_index != -100 and -100 in np.asarray(targets):
        targets = np.where(np.asarray(targets) == -100, ignore_index, targets)
    x = 3 * rng(6).standard_normal(shape)
    t, u = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours = nn.cross_entropy(t, targets, ignore_index, reduction)
    theirs = torch.nn.functional.cross_entropy(
        u, torch.as_tensor(targets), ignore_index=ignore_index, reduction=reduction
    )
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), **PEER)
    upstream = rng(7).standard_normal(ours.shape)
    ours.backward(upstream)
    theirs.backward(torch.from_numpy(np.asarray(upstream)))
    np.testing.assert_allclose(t.grad, u.grad.numpy(), **PEER)


@pytest.mark.parametrize(("shape", "count"), [((0, 4), 0), ((0, 4, 2), 0), ((2, 4, 0), 0)])
def test_cross_entropy_of_nothing_is_nan(shape, count):
    targets = np.zeros((shape[0], *shape[2:]), int)
    assert math.isnan(nn.cross_entropy(np.zeros(shape), targets).item())
    assert nn.cross_entropy(np.zeros(shape), targets, reduction="sum").item() == count


@pytest.mark.parametrize(
    ("logits", "targets", "options", "error", "message"),
    [
        (
            np.zeros((2, 3)),
            [0, 3],
            {},
            IndexError,
            r"targets: 3 at index \(1,\) is out of range for 3 classes \(0\.\.2\)",
        ),
        (np.zeros((2, 3)), [0, -1], {}, IndexError, r"targets: -1 at index \(1,\)"),
        (np.zeros((2, 3)), [0, -100], {"ignore_index": -1}, IndexError, "targets: -100"),
        (np.zeros((2, 3)), [0, 1, 2], {}, ValueError, r"targets: expected shape \(2,\) for .* \(2, 3\), got \(3,\)"),
        (np.zeros((2, 3, 4)), [0, 1], {}, ValueError, r"targets: expected shape \(2, 4\)"),
        (np.zeros(3), [0], {}, ValueError, r"targets: expected shape \(\)"),
        (np.zeros((2, 3)), [0.0, 1.0], {}, TypeError, "targets: expected integers, got float64"),
        (np.zeros((2, 3)), [0, 1], {"reduction": "average"}, ValueError, "reduction: expected .* got 'average'"),
        (np.zeros((2, 3), int), [0, 1], {}, ValueError, "logits: expected floats"),
        (np.zeros(()), 0, {}, ValueError, "logits: expected floats"),
        (np.zeros((2, 0)), [0, 0], {}, ValueError, "logits: expected floats"),
    ],
)
def test_cross_entropy_refuses(logits, targets, options, error, message):
    with pytest.raises(error, match=message):
        nn.cross_entropy(logits, targets, **options)


def test_mse_loss_by_hand():
    x = Tensor(np.array([[1.0, 2.0], [3.0, 5.0]]), requires_grad=True)
    y = np.array([[0.0, 2.0], [5.0, 1.0]])
    loss = nn.mse_loss(x, y)
    assert loss.item() == (1 + 0 + 4 + 16) / 4
    loss.backward()
    np.testing.assert_array_equal(x.grad, [[0.5, 0], [-1, 2]])
    assert nn.mse_loss(x, y, reduction="sum").item() == 21
    np.testing.assert_array_equal(nn.mse_loss(x, y, reduction="none").data, [[1, 0], [4, 16]])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_loss_equals_torch(reduction):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x, y = rng(8).standard_normal((2, 3, 4))
    t, s = Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)
    u, v = torch.tensor(x, requires_grad=True), torch.tensor(y, requires_grad=True)
    ours = nn.mse_loss(t, s, reduction=reduction)
    theirs = torch.nn.functional.mse_loss(u, v, reduction=reduction)
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), **PEER)
    upstream = np.asarray(rng(9).standard_normal(ours.shape))
    ours.backward(upstream)
    theirs.backward(torch.from_numpy(upstream))
    np.testing.assert_allclose(t.grad, u.grad.numpy(), **PEER)
    np.testing.assert_allclose(s.grad, v.grad.numpy(), **PEER)


def test_mse_loss_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match=r"target: expected the input's shape \(3, 1\), got \(3,\)"):
        nn.mse_loss(np.zeros((3, 1)), np.zeros(3))
    assert math.isnan(nn.mse_loss(np.zeros(0), np.zeros(0)).item())
    with pytest.raises(ValueError, match="reduction"):
        nn.mse_loss(np.zeros(3), np.zeros(3), reduction="max")


@pytest.mark.parametrize("name", ["relu", "sigmoid", "softmax", "log_softmax"])
def test_activation_functions_equal_torch(name):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x = 3 * rng(10).standard_normal((3, 4))
    t, u = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    axis = {"dim": -1} if "softmax" in name else {}
    ours, theirs = getattr(nn, name)(t), getattr(torch.nn.functional, name)(u, **axis)
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), **PEER)
    upstream = rng(11).standard_normal(x.shape)
    ours.backward(upstream)
    theirs.backward(torch.from_numpy(upstream))
    np.testing.assert_allclose(t.grad, u.grad.numpy(), **PEER)


def test_dropout_function_follows_its_training_argument():
    x = np.ones((50, 60), np.float32)
    assert nn.dropout(x, 0.5, training=False) is x
    assert 0 < (nn.dropout(x, 0.5, rng=rng()) == 0).mean() < 1
    with pytest.raises(ValueError, match="p: expected"):
        nn.dropout(x, -0.1)
