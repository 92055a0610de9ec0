"""Tensor: its data, display, writing, copies, devices, and random expressions."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn import Tensor, grad
from minirnn.autograd import ops
from tests.autograd.operations.cases import CASES
from tests.autograd.operations.draw import Draw
from tests.autograd.operations.judges import gradients
from tests.doubles.strict_array import StrictArray


def tensor(*shape, seed=0, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(dtype), requires_grad=True)


# ------------------------------------------------------------------------------------------ construction


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32),
        ([1.5, 2.0], np.float32),
        (np.float64(1.5), np.float64),
        (np.float16(1.5), np.float16),
        (np.ones(2), np.float64),
        (np.ones((), np.float32), np.float32),
        ([1, 2], np.int64),
        (True, np.bool_),
        (np.ones(2, complex), np.complex128),
        (Tensor(np.ones(2)), np.float64),
    ],
    ids=repr,
)
def test_dtype_of_a_new_tensor(data, dtype):
    t = Tensor(data)
    assert type(t.data) is np.ndarray
    assert t.dtype == dtype
    assert not t.requires_grad


def test_an_array_is_kept_not_copied():
    x = np.ones(3)
    assert Tensor(x).data is x
    assert Tensor(x).detach().data is x


@pytest.mark.parametrize("data", [[1, 2], 3, True, np.ones(2, int), np.ones(2, bool)], ids=repr)
def test_integers_can_not_require_grad_and_the_error_says_what_to_write(data):
    with pytest.raises(TypeError, match=r"only floating-point.*(int64|bool).*astype"):
        Tensor(data, requires_grad=True)


def test_complex_numbers_can_not_require_grad():
    with pytest.raises(TypeError, match="complex128"):
        Tensor(np.ones(2, complex), requires_grad=True)


@pytest.mark.parametrize("data", ["word", None, {}, object(), np.array([None]), np.array("2020", "M8[Y]")])
def test_data_that_are_not_numbers_raise(data):
    with pytest.raises(TypeError, match="expected numbers"):
        Tensor(data)


def test_subclasses_of_ndarray_are_plain_inside_and_masked_arrays_refused(tmp_path):
    mapped = np.memmap(tmp_path / "m", np.float32, "w+", shape=(2, 2))
    assert type(Tensor(mapped).data) is np.ndarray
    with pytest.raises(TypeError, match="masked array"):
        Tensor(np.ma.masked_equal([1.0, 2.0], 1.0))


# ----------------------------------------------------------------------------------------- display and identity


def test_repr_names_what_made_it_also_when_the_graph_is_freed():
    t = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = (t * 2).sum()
    assert repr(t) == "Tensor([1., 2.], requires_grad=True)"
    assert repr(Tensor([1])) == "Tensor([1])"
    assert repr(y) == "Tensor(6., made by sum)"
    y.backward()
    assert "6." in repr(y)
    assert "freed" in str(y)


def test_iteration_gives_tensors_of_the_graph():
    t = tensor(3, 2)
    rows = list(t)
    assert [r.shape for r in rows] == [(2,)] * 3
    a, b, c = t
    (a * 1 + b * 2 + c * 3).sum().backward()
    assert t.grad.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert sum(rows).shape == (2,)
    with pytest.raises(TypeError, match="0-d"):
        iter(t.sum())


def test_hash_is_identity_and_comparison_elementwise():
    a, b = tensor(3), tensor(3)
    assert len({a, b, a}) == 2
    assert {a: 1}[a] == 1
    for result in (a == b, a != b, a < b, a <= b, a > b, a >= b, a == 0.5, b.data < a, np.float64(0.5) < a):
        assert type(result) is np.ndarray
        assert result.dtype == bool
    assert (a == b).all()
    assert not (a == None).any()  # noqa: E711


def test_plus_t_is_another_tensor():
    t = tensor(3)
    assert +t is not t
    assert (+t).requires_grad


# ------------------------------------------------------------------------------------------ writing


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "**", "@"])
def test_in_place_operators_raise_on_a_leaf_and_rebind_others(symbol):
    leaf = tensor(3, 3)
    with pytest.raises(TypeError, match=r"t\.data"):
        exec(f"t {symbol}= 2", {"t": leaf})
    names = {"t": leaf * 1, "u": np.full((3, 3), 2.0)}
    first = names["t"]
    before = first.data.copy()
    exec(f"t {symbol}= u", names)
    assert names["t"] is not first
    np.testing.assert_array_equal(first.data, before)
    np.testing.assert_array_equal(names["t"].data, eval(f"a {symbol} u", {"a": before, "u": names["u"]}))


def test_writing_into_a_tensor_raises_and_says_what_to_write():
    t = tensor(3)
    with pytest.raises(TypeError, match=r"np\.where"):
        t[0] = 1.0
    with pytest.raises(TypeError, match="put"):
        np.put(t, [0], 1.0)
    with pytest.raises(TypeError, match="copyto"):
        np.copyto(t, 1.0)


@pytest.mark.parametrize(
    ("f", "instead"),
    [
        (lambda t: np.add.reduce(t), "np.sum"),
        (lambda t: np.multiply.reduce(t), "np.prod"),
        (lambda t: np.maximum.reduce(t), "np.max"),
        (lambda t: np.minimum.reduce(t), "np.min"),
        (lambda t: np.add.accumulate(t), "np.cumsum"),
        (lambda t: np.multiply.outer(t, t), "np.outer"),
        (lambda t: np.add.at(np.zeros(3), [0], t[0]), "index_add"),
        (lambda t: np.add.at(t, [0], 1.0), "index_add"),
        (lambda t: np.add.reduceat(t, [0, 1]), "add.reduceat"),
    ],
)
def test_ufunc_methods_raise_and_name_what_to_write(f, instead):
    with pytest.raises(TypeError, match=instead):
        f(tensor(3))


# ------------------------------------------------------------------------------------------ copies


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_copy_of_a_leaf_has_its_own_gradient(clone):
    t = tensor(2, 3)
    (t * t).sum().backward()
    u = clone(t)
    assert type(u) is Tensor
    assert u is not t
    assert u.requires_grad
    np.testing.assert_array_equal(u.data, t.data)
    before = t.grad.copy()
    (u * 5).sum().backward()
    np.testing.assert_array_equal(t.grad, before)
    assert np.shares_memory(u.data, t.data) == (clone is copy.copy)


def test_deepcopy_keeps_what_is_shared_shared():
    t = tensor(2)
    a, b = copy.deepcopy([t, t])
    assert a is b


class Named(Tensor):
    """A subclass of Tensor with one more attribute."""


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy])
def test_copies_keep_class_and_attributes(clone):
    t = Named(np.ones(2), requires_grad=True)
    t.name = "weight"
    u = clone(t)
    assert type(u) is Named
    assert u.name == "weight"


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("freed", [False, True])
def test_a_tensor_made_by_an_operation_cannot_be_copied_at_any_depth_of_its_graph(clone, freed):
    t = y = tensor(2)
    for _ in range(5000):
        y = y * 1.0
    if freed:
        y.backward(np.ones(2))
    with pytest.raises(TypeError, match=r"only leaves can be (copied|pickled).*detach"):
        clone(y)
    assert clone(y.detach()) is not None
    assert t.is_leaf


# ------------------------------------------------------------------------------------------ another device


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_operation_stays_on_its_device(case):
    """The forward, backward and double backward passes are bitwise equal to those on the host."""
    for seed in range(6):
        host, device = Draw.seeded(seed), Draw.seeded(seed)
        device.constant = StrictArray
        f_host, arrays = case.make(host)
        f, _ = case.make(device)
        ts = [Tensor(StrictArray(a.copy()), requires_grad=True) for a in arrays]
        y = f(np, *ts)
        assert type(y.data) is StrictArray
        w = Draw.seeded(seed).normal(*y.shape)
        y.backward(StrictArray(w), retain_graph=True)
        for t, expected in zip(ts, gradients(f_host, arrays, w), strict=True):
            assert type(t.grad) is StrictArray
            np.testing.assert_array_equal(t.grad.host, expected)
        second = grad(y, ts, StrictArray(w), create_graph=True)
        total = sum((g * g).sum() for g in second) + sum((t * 0.0).sum() for t in ts)
        assert all(type(g.data) is StrictArray for g in grad(total, ts))


def test_the_simulated_gpu_refuses_arrays_of_the_host():
    t = Tensor(StrictArray(np.ones(3)), requires_grad=True)
    for f in (
        lambda: t * np.ones(3),
        lambda: np.ones(3) * t,
        lambda: t @ np.ones((3, 2)),
    ):
        with pytest.raises(TypeError, match=r"(add|multiply|matmul): arrays on two devices, .*(cpu|cupy) \(shape"):
            f()
    assert type((t * np.float64(2) + 1 - [3.0][0]).data) is StrictArray


def test_losses_work_on_another_device():
    t = Tensor(StrictArray(np.random.default_rng(1).normal(size=(4, 5))), requires_grad=True)
    loss = -ops.log_softmax(t)[np.arange(4), [0, 3, 1, 1]].mean()
    loss.backward()
    loss = (t * t).mean()
    loss.backward()
    assert type(t.grad) is StrictArray
    assert f"{loss:.2f}" == f"{loss.item():.2f}"


# ------------------------------------------------------------------------------------------ random expressions


@given(data=st.data())
def test_random_expressions_agree_with_the_complex_step(data):
    """Chains of random operations that can use a result several times, so that diamonds and broadcasts occur."""
    d = Draw.hypothesis(data)
    arrays = [d.normal(*shape) for shape in [(3, 4), (4,), (3, 1), ()]]
    binary = {"a": np.add, "s": np.subtract, "m": np.multiply, "d": lambda a, b: a / (b * b + 1.0)}
    unary = {"t": np.tanh, "S": ops.sigmoid, "r": lambda x: x.sum(-1, keepdims=True) if x.ndim else x, "q": np.square}
    program = [(d.pick(list(binary) + list(unary)), d.pick(range(8)), d.pick(range(8))) for _ in range(12)]

    def run(*xs):
        values = list(xs)
        for name, i, j in program:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(np.tanh(binary[name](a, b)) if name in binary else unary[name](a))
        return sum((v * (k + 1)).sum() for k, v in enumerate(values))

    ts = [Tensor(a, requires_grad=True) for a in arrays]
    run(*ts).backward()
    for k, (a, t) in enumerate(zip(arrays, ts, strict=True)):
        v = d.normal(*a.shape)
        slope = run(*(x + 1e-30j * v if i == k else x for i, x in enumerate(arrays))).imag / 1e-30
        assert abs(np.sum(t.grad * v) - slope) <= 1e-10 * (1 + np.sum(np.abs(t.grad * v)))
