"""The dtypes of results and gradients, and the conversion of constants."""

import numpy as np
import pytest

from minirnn import Tensor, grad


def tensor(*shape, seed=0, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(dtype), requires_grad=True)


DTYPES = [np.float16, np.float32, np.float64]
NUMBERS = [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2), np.int8(2), np.bool_(True), np.array(2.0)]
NUMBERS += [np.array(2), np.array([2, 2, 2]), np.array([1, 1, 1], bool), [2, 2, 2], [2.0, 2.0, 2.0]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", NUMBERS, ids=repr)
@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**"])
def test_constants_take_the_tensors_dtype(symbol, number, dtype):
    t = Tensor(np.array([1, 2, 3], dtype), requires_grad=True)
    as_array = np.asarray(number).astype(dtype)
    for expression in (f"t {symbol} c", f"c {symbol} t"):
        y = eval(expression, {"t": t, "c": number})
        assert type(y) is Tensor
        np.testing.assert_array_equal(y.data, eval(expression, {"t": t.data, "c": as_array}))
        assert y.dtype == dtype
        assert type(y.data) is np.ndarray
        (g,) = grad(y.sum(), t)
        assert g.dtype == dtype


def test_dtype_traps():
    x = tensor(3, 4, dtype=np.float32)
    condition = np.array([True, False, True, True])
    for y in (
        x / np.sqrt(4),
        np.sqrt(4) / x,
        x / np.prod(x.shape),
        x * np.pi,
        x * x.data.std(),
        x - np.mean(x),
        x.max(),
    ):
        assert y.dtype == np.float32
        (g,) = grad(y.sum(), x)
        assert g.dtype == np.float32
    with pytest.raises(TypeError, match=r"multiply.*float32.*float64.*astype"):
        np.where(condition, 1.0, 0.0) * x
    assert (np.where(condition, x, 0.0)).dtype == np.float32
    assert (condition * x).dtype == np.float32


@pytest.mark.parametrize(
    "other", [np.ones(3), Tensor(np.ones(3)), Tensor(np.float64(1)), np.ones(3, np.float16)], ids=repr
)
def test_another_float_dtype_raises_naming_both(other):
    t = tensor(3, dtype=np.float32)
    for symbol in ("+", "-", "*", "/", "**", "@"):
        if symbol == "@" and not other.ndim:
            continue
        for expression in (f"t {symbol} c", f"c {symbol} t"):
            with pytest.raises(TypeError, match=rf"(?=.*float32)(?=.*{other.dtype})"):
                eval(expression, {"t": t, "c": other})


def test_complex_constants_raise():
    t = tensor(2)
    for c in (1j, np.complex64(1j), np.ones(2, complex)):
        with pytest.raises(TypeError, match="complex"):
            t * c


def test_data_of_results_are_arrays_also_of_one_element():
    t = tensor(3)
    for y in (
        t.sum(),
        t.mean(),
        t.max(),
        t.std(),
        t.prod(),
        t @ t,
        np.einsum("i,i", t, t),
        t[0],
        t[0] * 2,
        -t[0],
        t[0] ** 2,
    ):
        assert type(y.data) is np.ndarray
        assert y.shape == ()
        y.backward()
        assert type(t.grad) is np.ndarray


def test_gradient_of_a_0d_float64_is_float64():
    t = Tensor(np.array(0.1), requires_grad=True)
    (g,) = grad(t * t * t, t)
    assert g.dtype == np.float64
    assert g.item() == 3 * 0.1 * 0.1
    (h,) = grad(t * t * t, t, create_graph=True)
    assert h.dtype == np.float64


def test_astype_is_differentiable_and_its_gradient_comes_back_in_the_first_dtype():
    t = tensor(2, 3, dtype=np.float32)
    u = t.astype(np.float64)
    assert u.dtype == np.float64
    assert t.astype(np.float32) is t
    w = np.random.default_rng(3).normal(size=(2, 3))
    (u * w).sum().backward()
    assert t.grad.dtype == np.float32
    np.testing.assert_array_equal(t.grad, w.astype(np.float32))


@pytest.mark.parametrize(
    "compute",
    [
        lambda t: t * np.ones(3, np.float32),
        lambda t: np.ones(3, np.float32) / t,
        lambda t: t * 0.5,
        lambda t: 0.5 + t,
        lambda t: t / 2,
        lambda t: t * np.float32(2),
        lambda t: t.mean(),
        np.exp,
        lambda t: t * Tensor(np.ones(3, np.float32)),
    ],
)
def test_integers_become_float32_where_floats_are_needed(compute):
    ints = np.array([1, 2, 3])
    result = compute(Tensor(ints))
    assert result.dtype == np.float32
    expected = compute(ints)
    np.testing.assert_allclose(result.data, getattr(expected, "data", expected), rtol=1e-6)


def test_integers_stay_integers_and_meet_float64_as_such():
    t = Tensor([1, 2, 3])
    assert (t * 2).dtype == (-t).dtype == (t * t).dtype == np.int64
    assert (t * np.ones(3)).dtype == np.float64
