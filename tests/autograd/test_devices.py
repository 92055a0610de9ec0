"""Moving arrays and Tensors between the host and a simulated GPU that refuses to mix them."""

import sys

import numpy as np
import pytest

import minirnn
from minirnn import Tensor, grad, nn
from minirnn.autograd import devices, ops
from minirnn.recurrent import backends
from tests.autograd.device_arrays import normal, same, there
from tests.doubles import fake_cupy

pytestmark = pytest.mark.usefixtures("gpu")


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
            TypeError, match=r'the cupy kernels do not accept arrays of numpy float32; use minirnn.kernels\("numba'
        ):
            backends.chosen(a)
    monkeypatch.setenv("MINIRNN_KERNELS", "numba")
    with pytest.raises(
        TypeError, match=r'the numba kernels do not accept arrays of cupy float32; use minirnn.kernels\("cupy"\)'
    ):
        backends.chosen(there(a))
    with pytest.raises(TypeError, match="a recurrent layer: arrays on two devices"):
        backends.chosen(a, there(a))
