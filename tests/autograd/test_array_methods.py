"""The interface that a Tensor shares with an ndarray: attributes, Python values, NumPy's methods."""

import numpy as np
import pytest

from minirnn import Tensor


def tensor(*shape, seed=0, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(dtype), requires_grad=True)


def test_shape_and_its_relatives():
    t = tensor(2, 3)
    assert (t.shape, t.ndim, t.size, t.dtype, len(t), t.is_leaf) == ((2, 3), 2, 6, np.float64, 2, True)
    assert t.T.shape == (3, 2)
    assert not t.T.is_leaf
    with pytest.raises(TypeError, match="unsized"):
        len(t.sum())


def test_format_of_one_element():
    loss = Tensor(np.array(1.23456), requires_grad=True)
    assert f"{loss:.3f}" == "1.235"
    assert f"{loss * 1:8.2e}" == "1.23e+00"
    assert "1.23456" in f"{loss}"
    with pytest.raises(ValueError, match=r"size 1|one element"):
        f"{tensor(2):.3f}"


def test_item_float_int_bool():
    assert Tensor([[2.5]]).item() == 2.5
    assert tensor(1).item() == tensor(1).data[0]
    with pytest.raises(ValueError, match=r"\(2,\)"):
        tensor(2).item()
    assert bool(Tensor(0.0)) is False
    assert bool(tensor(1, 1)) is True
    assert [10, 20, 30][Tensor(2)] == 30
    with pytest.raises(ValueError, match=r"shape \(2,\).*any\(\).*all\(\)"):
        bool(tensor(2))
    with pytest.raises(ValueError, match="ambiguous"):
        bool(Tensor(np.ones(0)))


def test_methods_are_numpys_functions():
    t = tensor(2, 3, 4)
    same = [
        (t.sum(1), np.sum(t.data, 1)),
        (t.sum((0, 2), keepdims=True), np.sum(t.data, (0, 2), keepdims=True)),
        (t.mean(-1), np.mean(t.data, -1)),
        (t.var(0, ddof=1), np.var(t.data, 0, ddof=1)),
        (t.std((1, 2), ddof=1, keepdims=True), np.std(t.data, (1, 2), ddof=1, keepdims=True)),
        (t.max(2), np.max(t.data, 2)),
        (t.min(0, keepdims=True), np.min(t.data, 0, keepdims=True)),
        (t.prod(1), np.prod(t.data, 1)),
        (t.cumsum(1), np.cumsum(t.data, 1)),
        (t.cumsum(), np.cumsum(t.data)),
        (t.reshape(4, -1), t.data.reshape(4, -1)),
        (t.reshape((4, 6)), t.data.reshape(4, 6)),
        (t.reshape(24), t.data.reshape(24)),
        (t.ravel(), t.data.ravel()),
        (t.transpose(), t.data.T),
        (t.transpose(2, 0, 1), t.data.transpose(2, 0, 1)),
        (t.transpose((1, 0, 2)), t.data.transpose(1, 0, 2)),
        (t.T, t.data.T),
        (t[0, 0].transpose(0), t.data[0, 0]),
        (t.swapaxes(0, -1), t.data.swapaxes(0, -1)),
        (t[:1].squeeze(0), t.data[0]),
        (t[:1, :1].squeeze(), t.data[0, 0]),
        (t.repeat(2, axis=1), t.data.repeat(2, axis=1)),
        (t.repeat(2), t.data.repeat(2)),
        (t.take([1, 0], axis=1), t.data.take([1, 0], axis=1)),
        (t.clip(-0.5, 0.5), t.data.clip(-0.5, 0.5)),
        (t.clip(max=0.5), t.data.clip(max=0.5)),
        (t.dot(t.data[0, 0]), t.data.dot(t.data[0, 0])),
        (abs(t), abs(t.data)),
        (-t, -t.data),
        (+t, t.data),
    ]
    for i, (mine, numpys) in enumerate(same):
        assert type(mine) is Tensor
        np.testing.assert_allclose(mine.data, numpys, rtol=1e-13, err_msg=str(i))
        assert mine.requires_grad
    np.testing.assert_array_equal(t.argmax(1), t.data.argmax(1))
    np.testing.assert_array_equal(t.argmin(), t.data.argmin())
    assert t.any() == t.data.any()
    assert t.all(0).shape == (3, 4)
    assert t.tolist() == t.data.tolist()
