"""NumPy's functions on Tensors: values, derivatives, dtypes, errors, and unsupported functions."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn import Tensor, grad
from minirnn.autograd import ops
from minirnn.autograd.tensor import FUNCTIONS, PLAIN
from tests.autograd.operations.cases import ARRAY_FUNCTIONS
from tests.autograd.operations.draw import Draw
from tests.autograd.operations.judges import first, forward, second

each_function = pytest.mark.parametrize("case", ARRAY_FUNCTIONS, ids=lambda case: case.name)


@each_function
@given(data=st.data())
def test_forward_is_numpys(case, data):
    forward(case, Draw.hypothesis(data, data.draw(st.sampled_from((np.float32, np.float64)))))


@each_function
@given(data=st.data())
def test_first_derivative(case, data):
    first(case, Draw.hypothesis(data))


@each_function
@given(data=st.data())
def test_second_derivative(case, data):
    second(case, Draw.hypothesis(data))


def tensor(*shape, dtype=np.float64):
    return Tensor(np.random.default_rng(len(shape)).normal(size=shape).astype(dtype), requires_grad=True)


# ----------------------------------------------------------------------------------------- constants and Tensors


@pytest.mark.parametrize("constant", [2.0, 2, True, np.float64(2), np.float32(2), np.int64(2), np.array(2.0)], ids=repr)
@pytest.mark.parametrize(
    "f",
    [
        lambda t, c: np.stack([t[0], c, t[1]]),
        lambda t, c: np.outer(t, c),
        lambda t, c: np.outer(c, t),
        lambda t, c: np.dot(t, c),
        lambda t, c: np.dot(c, t),
        lambda t, c: np.tensordot(t, c, 0),
        lambda t, c: np.einsum(",i->i", c, t),
        lambda t, c: np.where([True, False, True], c, t),
        lambda t, c: np.clip(t, None, c),
        lambda t, c: np.concatenate([t, c], None),
    ],
    ids=["stack", "outer", "outer-r", "dot", "dot-r", "tensordot", "einsum", "where", "clip", "concatenate"],
)
def test_a_scalar_among_tensors_takes_their_dtype(f, constant):
    t = tensor(3, dtype=np.float32)
    y = f(t, constant)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.data, f(t.data, np.float32(constant)))
    y.sum().backward()
    assert t.grad.dtype == np.float32


@pytest.mark.parametrize("f", [np.outer, np.dot, lambda a, b: np.concatenate([a, b]), lambda a, b: np.stack([a, b])])
@pytest.mark.parametrize("constant", [[1.0, 2.0, 3.0], [1, 2, 3], np.array([1, 2, 3])], ids=["floats", "ints", "array"])
def test_lists_and_integers_take_the_dtype_of_the_tensor(f, constant):
    for y in (f(tensor(3, dtype=np.float32), constant), f(constant, tensor(3, dtype=np.float32))):
        assert y.dtype == np.float32
        assert y.requires_grad


@pytest.mark.parametrize(
    "f",
    [
        np.outer,
        np.dot,
        lambda a, b: np.tensordot(a, b, 1),
        lambda a, b: np.einsum("i,i", a, b),
        lambda a, b: np.concatenate([a, b]),
        lambda a, b: np.stack([a, b]),
        lambda a, b: np.where(True, a, b),
        lambda a, b: np.clip(a, b, None),
    ],
)
def test_an_array_of_another_float_dtype_raises_naming_both(f):
    with pytest.raises(TypeError, match=r"float32.*float64"):
        f(tensor(3, dtype=np.float32), np.ones(3))


# ------------------------------------------------------------------------------------------ plain results


def test_functions_of_zero_derivative_return_plain_arrays():
    t = tensor(2, 3)
    x = t.data
    one = (np.sign, np.floor, np.ceil, np.trunc, np.rint, np.isfinite, np.isnan, np.isinf, np.signbit, np.logical_not)
    one += (np.argmax, np.argmin, np.argsort, np.argwhere, np.nonzero, np.count_nonzero, np.any, np.all, np.round)
    one += (np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.result_type, np.iscomplexobj, np.isrealobj)
    two = (np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.array_equal, np.allclose)
    two += (np.logical_and, np.logical_or, np.logical_xor, np.isclose, np.shares_memory)
    others = {
        np.full_like: lambda t: np.full_like(t, 3),
        np.empty_like: lambda t: np.empty_like(t).shape,
        np.searchsorted: lambda t: np.searchsorted([-1.0, 0.0, 1.0], t),
    }
    assert PLAIN - {*one, *two, *others} == set()
    for f in (
        *one,
        *[lambda t, f=f: f(t, t) for f in two],
        *[lambda t, f=f: f(t, x[0]) for f in two],
        *others.values(),
    ):
        result = f(t)
        assert not isinstance(result, Tensor)
        np.testing.assert_array_equal(result, f(x))


def test_where_of_one_argument_and_of_arrays_is_numpys():
    t = tensor(2, 3)
    for mine, numpys in zip(np.where(t > 0), np.where(t.data > 0), strict=True):
        np.testing.assert_array_equal(mine, numpys)
    assert type(np.where(t, 1.0, 0.0)) is np.ndarray


def test_indices_may_be_tensors_of_integers():
    t, i = tensor(4, 2), Tensor(np.array([3, 3, 0]))
    for y in (t[i], np.take(t, i, 0), t.take(i, 0), t[i, :], t[[3, 3, 0]]):
        np.testing.assert_array_equal(y.data, t.data[[3, 3, 0]])
        (g,) = grad(y.sum(), t)
        assert g.data.tolist() == [[1, 1], [0, 0], [0, 0], [2, 2]]
    table = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(np.take(table, i, 0), table[[3, 3, 0]])
    assert t[: Tensor(2)].shape == (2, 2)


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("name", "f"),
    [
        ("sort", lambda t: np.sort(t)),
        ("linalg.*norm|norm", lambda t: np.linalg.norm(t)),
        ("hstack", lambda t: np.hstack([t, t])),
        ("median", lambda t: np.median(t)),
        ("copyto", lambda t: np.copyto(np.zeros((2, 3)), t)),
        ("arctan", lambda t: np.arctan(t)),
        ("heaviside", lambda t: np.heaviside(t, 0.5)),
        ("floor_divide", lambda t: np.ones(3) // t),
        ("remainder", lambda t: np.ones(3) % t),
        ("modf", lambda t: np.modf(t)),
        ("divmod", lambda t: np.divmod(t, 2)),
        ("frexp", lambda t: np.frexp(t)),
    ],
)
def test_a_function_that_is_not_supported_is_named(name, f):
    with pytest.raises(TypeError, match=rf"np\.({name}) is not supported on Tensors"):
        f(tensor(2, 3))


@pytest.mark.parametrize(
    "f",
    [
        lambda t: np.sum(t, out=np.zeros(())),
        lambda t: np.sum(np.ones(3), out=t),
        lambda t: np.exp(t, out=np.zeros((2, 3))),
        lambda t: np.exp(np.ones((2, 3)), out=t),
        lambda t: np.add(1, 2, out=t),
        lambda t: np.concatenate([t, t], out=np.zeros((4, 3))),
        lambda t: np.clip(t, 0, 1, out=np.zeros((2, 3))),
        lambda t: np.argmax(t, 0, out=np.zeros(3, int)),
    ],
)
def test_out_raises_and_says_so(f):
    with pytest.raises(TypeError, match="out"):
        f(tensor(2, 3))


def test_adding_to_an_array_in_place_raises():
    buffer = np.zeros((2, 3))
    with pytest.raises(TypeError, match="out"):
        buffer += tensor(2, 3)
    assert not buffer.any()


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda t: np.reshape(t, (3, 2), order="F"), TypeError, "order"),
        (lambda t: np.reshape(t, (4, 2)), ValueError, "reshape"),
        (lambda t: np.clip(t, t, None), TypeError, "bounds are constants"),
        (lambda t: np.clip(t.data, t, None), TypeError, "bounds are constants"),
        (lambda t: np.pad(t, 1, "edge"), TypeError, "constant"),
        (lambda t: np.pad(t, 1, constant_values=(1, 2)), TypeError, "one value"),
        (lambda t: np.einsum(t, [0, 1]), TypeError, "subscripts"),
        (lambda t: np.einsum("ij,jk", t), ValueError, "2 terms"),
        (lambda t: np.einsum("ii", t), ValueError, "lengths 2 and 3"),
        (lambda t: np.einsum("jj->j", t.T), ValueError, "lengths 3 and 2"),
        (lambda t: np.tensordot(t, t, 1), ValueError, "differ in length"),
        (lambda t: np.split(t, 2, 1), ValueError, "equal division"),
        (lambda t: np.sum(t, 2), np.exceptions.AxisError, "2"),
        (lambda t: np.prod(t, -3), np.exceptions.AxisError, "-3"),
        (lambda t: np.flip(t, 5), np.exceptions.AxisError, "5"),
        (lambda t: np.roll(t, 1, 2), np.exceptions.AxisError, "2"),
        (lambda t: np.concatenate([t, t], 2), np.exceptions.AxisError, "2"),
        (lambda t: np.transpose(t, (0, 0)), ValueError, "repeated"),
        (lambda t: np.squeeze(t, 0), ValueError, "size"),
        (lambda t: t @ t, ValueError, "matmul"),
        (lambda t: t[2], IndexError, "2"),
        (lambda t: np.take(t, [7], 1), IndexError, "7"),
        (lambda t: np.broadcast_to(t, (3, 3)), ValueError, "broadcast"),
        (lambda t: t.astype(int), TypeError, "requires grad"),
        (lambda t: t.astype(complex), TypeError, "requires grad"),
        (lambda t: np.full_like(np.ones(3), t[0, 0]), TypeError, "."),
        (lambda t: np.full_like(t, t[0, 0]), TypeError, "gradient"),
        (lambda t: np.sum(t, where=t > 0), TypeError, "where"),
        (lambda t: np.exp(t, where=t > 0), TypeError, "where"),
        (lambda t: np.add(t, t, dtype=np.float32), TypeError, "dtype"),
    ],
)
def test_invalid_arguments_raise(f, error, message):
    with pytest.raises(error, match=message):
        f(tensor(2, 3))


def test_full_like_takes_a_value_without_a_gradient():
    t = tensor(2, 3)
    np.testing.assert_array_equal(np.full_like(t, t.detach()[0, 0]), np.full((2, 3), t.data[0, 0]))
    assert np.full_like(t, 1, dtype=int).dtype == int


def test_every_function_has_numpys_own_as_its_key():
    names = {f.__name__ for f in FUNCTIONS}
    assert len(names) >= 36
    methods = (Tensor.__getitem__, Tensor.astype, Tensor.to)
    assert all(f is getattr(np, f.__name__) for f in FUNCTIONS if f not in methods)


# ------------------------------------------------------------------------------------------ leaks out of the graph


@pytest.mark.parametrize(
    "leak",
    [
        lambda t, s: np.asarray(t),
        lambda t, s: np.array([t, t]),
        lambda t, s: np.array([s, s]),
        lambda t, s: np.array([s, s], dtype=object),
        lambda t, s: np.full(3, s),
        lambda t, s: np.mean([s, s]),
        lambda t, s: np.sum([s, s]),
        lambda t, s: np.fromiter([s, s], float),
        lambda t, s: np.zeros(3).__setitem__(0, s),
        lambda t, s: np.zeros((2, 3)).__setitem__(0, t),
        lambda t, s: np.zeros(1).__setitem__(0, t[:1]),
        lambda t, s: np.zeros(3, int).__setitem__(0, s),
        lambda t, s: np.zeros(3).fill(s),
        lambda t, s: np.zeros(3).dot(t),
        lambda t, s: np.vectorize(lambda v: v)(t),
        lambda t, s: np.arange(s, 3),
        lambda t, s: np.float64(s),
        lambda t, s: np.ma.array(t),
        lambda t, s: Tensor([s, s]),
        lambda t, s: np.add(np.ones(3), [s, s, s]),
        lambda t, s: np.add(t, [s, s, s]),
        lambda t, s: float(s),
        lambda t, s: t.numpy(),
    ],
)
def test_a_gradient_never_leaks_into_a_plain_array(leak):
    t = tensor(3)
    with pytest.raises((TypeError, ValueError)) as caught:
        leak(t, t[0])
    reasons = [caught.value, caught.value.__cause__]
    assert any("lose the gradient" in str(reason) for reason in reasons)


def test_without_a_gradient_tensors_turn_into_arrays():
    t = Tensor(np.arange(3.0))
    assert np.asarray(t) is t.data
    assert np.array([t, t]).tolist() == [[0, 1, 2], [0, 1, 2]]
    assert np.mean([t[1], t[2]]) == 1.5
    assert float(t[2]) == 2.0
    assert int(t[2]) == 2
    buffer = np.zeros(3)
    buffer[0] = t[2]
    assert buffer[0] == 2
    assert np.asarray(t, np.float32).dtype == np.float32


def test_take_accepts_bools_as_integers_and_empty_indices():
    t = Tensor(np.arange(6.0).reshape(3, 2))
    for indices in ([], [True, False], np.array([True, False, True]), [2, -1], 1):
        for axis in (None, 0, 1):
            if np.max(indices, initial=0) < t.shape[axis or 0]:
                np.testing.assert_array_equal(
                    np.take(t, indices, axis).data, np.take(t.data, np.asarray(indices, int), axis)
                )


def test_more_degrees_of_freedom_than_values_give_what_numpy_gives():
    x = np.random.default_rng(0).standard_normal((3, 4))
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(np.var(Tensor(x), 0, ddof=5).data, np.var(x, 0, ddof=5))
        np.testing.assert_array_equal(np.std(Tensor(x[:0]), 0, ddof=1).data, np.std(x[:0], 0, ddof=1))


def test_einsum_needs_its_ellipsis_in_the_output():
    with pytest.raises(ValueError, match="lacks the ellipsis"):
        np.einsum("...i->i", Tensor(np.ones((2, 3))))


@pytest.mark.parametrize("gate", [ops.relu, lambda t: np.clip(t, 0, 2), lambda t: np.maximum(t, 0.0)])
def test_an_infinite_gradient_does_not_pass_a_shut_gate(gate):
    t = Tensor(np.array([-1.0, 1.0]), requires_grad=True)
    gate(t).backward(np.array([np.inf, 1.0]))
    np.testing.assert_array_equal(t.grad, [0, 1])


def test_a_nan_attains_the_maximum_that_it_makes():
    t = Tensor(np.array([1.0, np.nan]), requires_grad=True)
    np.max(t).backward()
    np.testing.assert_array_equal(t.grad, [0, 1])
