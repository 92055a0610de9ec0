"""Modules: their parameters, their state dicts, and errors."""

import copy
import pickle

import numpy as np
import pytest

from minirnn import Tensor, nn


class Pair(nn.Module):
    """A module with its own parameter after a child, so that the order of names is visible."""

    def __init__(self):
        self.child = nn.Linear(2, 3, rng=np.random.default_rng(1))
        self.scale = nn.Parameter(np.full(3, 2.0, np.float32))

    def forward(self, x):
        return self.child(x) * self.scale


class Tied(nn.Module):
    def __init__(self):
        self.a = nn.Linear(2, 2, bias=False, rng=np.random.default_rng(2))
        self.b = nn.Linear(2, 2, bias=False, rng=np.random.default_rng(3))
        self.b.weight = self.a.weight


def test_own_parameters_come_before_those_of_children():
    pair = Pair()
    assert [name for name, _ in pair.named_parameters()] == ["scale", "child.weight", "child.bias"]
    assert list(pair.state_dict()) == ["scale", "child.weight", "child.bias"]
    assert [p.shape for p in pair.parameters()] == [(3,), (3, 2), (3,)]


def test_a_shared_parameter_is_one_parameter_with_two_names():
    tied = Tied()
    assert [name for name, _ in tied.named_parameters()] == ["a.weight"]
    assert list(tied.state_dict()) == ["a.weight", "b.weight"]


def test_modules_and_children_come_once_each():
    shared = nn.Tanh()
    model = nn.Sequential(shared, nn.Sequential(shared, nn.ReLU()))
    assert [name for name, _ in model.named_modules()] == ["", "0", "1", "1.1"]
    assert list(model.children()) == [model[0], model[1]]
    assert [name for name, _ in model.named_children()] == ["0", "1"]
    assert len(list(model.modules())) == 4


def test_a_parameter_owns_a_contiguous_writable_copy():
    source = np.arange(6.0).reshape(2, 3).T
    source.flags.writeable = False
    p = nn.Parameter(source)
    p.data[0, 0] = 9
    assert source[0, 0] == 0
    assert p.data.flags.c_contiguous
    assert p.data.ctypes.data % 64 == 0
    assert p.requires_grad
    assert nn.Parameter(Tensor(source)).dtype == np.float64
    with pytest.raises(TypeError, match="only floating-point"):
        nn.Parameter(np.arange(3))


def test_a_parameter_is_not_replaced_by_a_result():
    pair = Pair()
    with pytest.raises(TypeError, match=r"Pair\.scale is a Parameter .* got Tensor"):
        pair.scale = pair.scale * 2
    with pytest.raises(TypeError, match="ndarray"):
        pair.scale = np.ones(3)
    pair.scale = nn.Parameter(np.ones(3, np.float32))
    assert pair.scale.data.sum() == 3
    pair.child.bias = None
    assert list(pair.state_dict()) == ["scale", "child.weight"]


def test_state_dict_holds_copies():
    pair = Pair()
    pair.state_dict()["scale"][:] = 7
    assert (pair.scale.data == 2).all()


def test_load_state_dict_writes_in_place():
    pair, other = Pair(), Pair()
    other.child.weight.data[:] = 5
    held = pair.child.weight.data
    result = pair.load_state_dict(other.state_dict())
    assert result == ([], [])
    assert pair.child.weight.data is held
    assert (held == 5).all()


def test_a_graph_from_before_a_load_refuses_to_be_walked():
    pair = Pair()
    loss = pair(Tensor(np.ones((1, 2), np.float32))).sum()
    pair.load_state_dict(pair.state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_load_state_dict_names_every_problem_and_changes_nothing():
    pair = Pair()
    before = pair.state_dict()
    wrong = {
        "child.weight": np.zeros((2, 3), np.float32),
        "child.bias": np.zeros(3, np.float64),
        "extra": np.zeros(1, np.float32),
    }
    with pytest.raises(ValueError, match="does not fit Pair") as error:
        pair.load_state_dict(wrong)
    for line in (
        "missing: scale",
        "unexpected: extra",
        "child.weight: shape (2, 3), expected (3, 2)",
        "child.bias: dtype float64, expected float32",
    ):
        assert line in str(error.value)
    for name, values in pair.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


def test_a_problem_in_the_last_entry_leaves_the_first_unchanged():
    pair = Pair()
    state = {name: np.full_like(values, 9) for name, values in pair.state_dict().items()}
    state["child.bias"] = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match=r"child\.bias"):
        pair.load_state_dict(state)
    assert (pair.scale.data == 2).all()


def test_load_state_dict_without_strict_takes_matching_names_and_returns_the_others():
    pair = Pair()
    result = pair.load_state_dict({"scale": np.zeros(3, np.float32), "extra": np.zeros(1)}, strict=False)
    assert result.missing_keys == ["child.weight", "child.bias"]
    assert result.unexpected_keys == ["extra"]
    assert (pair.scale.data == 0).all()
    with pytest.raises(ValueError, match="shape"):
        pair.load_state_dict({"scale": np.zeros(4, np.float32)}, strict=False)


def test_load_state_dict_refuses_values_that_are_not_arrays():
    pair = Pair()
    with pytest.raises(TypeError, match="expected a mapping"):
        pair.load_state_dict([1, 2])
    with pytest.raises(TypeError, match=r"state_dict\['scale'\]: expected a NumPy array, got list"):
        pair.load_state_dict({**pair.state_dict(), "scale": [1.0, 2.0, 3.0]})
    pair.load_state_dict({**pair.state_dict(), "scale": Tensor(np.ones(3, np.float32))})
    assert (pair.scale.data == 1).all()


def test_train_and_eval_reach_every_module():
    model = nn.Sequential(nn.Sequential(nn.Dropout(0.3)), nn.Tanh())
    assert model.eval() is model
    assert [m.training for m in model.modules()] == [False] * 4
    model.train()
    assert [m.training for m in model.modules()] == [True] * 4


def test_zero_grad_clears_every_gradient():
    pair = Pair()
    pair(Tensor(np.ones((1, 2), np.float32))).sum().backward()
    assert all(p.grad is not None for p in pair.parameters())
    pair.zero_grad()
    assert all(p.grad is None for p in pair.parameters())


def test_to_converts_values_and_gradients():
    pair = Pair()
    pair(Tensor(np.ones((1, 2), np.float32))).sum().backward()
    before = pair.child.weight.data.copy()
    assert pair.to(np.float64) is pair
    assert {p.dtype for p in pair.parameters()} == {np.dtype(np.float64)}
    assert {p.grad.dtype for p in pair.parameters()} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(pair.child.weight.data, before)
    assert pair(Tensor(np.ones((1, 2)))).dtype == np.float64
    assert pair.to("float32").scale.dtype == np.float32


@pytest.mark.parametrize("dtype", ["cuda", "gpu", np.float16, np.int64, np.complex128, None, 3])
def test_to_refuses_other_dtypes_and_devices(dtype):
    with pytest.raises(TypeError, match=r"dtype: expected np\.float32, np\.float64, 'cpu' or 'cupy'"):
        Pair().to(dtype)


def test_module_list_is_a_list_of_modules():
    layers = nn.ModuleList([nn.Linear(1, 2), nn.Tanh()])
    assert layers.append(nn.ReLU()) is layers
    assert len(layers) == 3
    assert [type(m).__name__ for m in layers] == ["Linear", "Tanh", "ReLU"]
    assert layers[-1] is layers[2]
    assert list(layers[1:]) == [layers[1], layers[2]]
    assert isinstance(layers[1:], nn.ModuleList)
    layers[-1] = nn.Sigmoid()
    assert [type(m).__name__ for m in layers] == ["Linear", "Tanh", "Sigmoid"]
    assert list(layers.state_dict()) == ["0.weight", "0.bias"]
    with pytest.raises(IndexError):
        layers[3]
    with pytest.raises(IndexError):
        layers[3] = nn.Tanh()
    with pytest.raises(TypeError, match="expected a Module, got function"):
        layers.append(lambda x: x)
    with pytest.raises(TypeError, match="expected a Module, got int"):
        layers[0] = 1
    with pytest.raises(NotImplementedError, match="ModuleList"):
        layers(1)


def test_more_than_ten_modules_stay_in_order():
    layers = nn.ModuleList([nn.Linear(1, n) for n in range(1, 13)])
    assert [m.out_features for m in layers] == list(range(1, 13))


def test_sequential_applies_in_order():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    model[0].weight.data[:] = [[1, 0], [0, -1]]
    np.testing.assert_array_equal(model(Tensor(np.array([[3, 4]], np.float32))).data, [[3, 0]])
    assert isinstance(model[:1], nn.Sequential)
    with pytest.raises(TypeError, match="Sequential: expected a Module"):
        nn.Sequential(np.tanh)


def test_repr_shows_the_tree():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Tanh(), nn.Dropout(0.1)))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): Tanh()\n"
        "    (1): Dropout(p=0.1)\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Parameter(np.zeros(2, np.float32))) == "Parameter(array([0., 0.], dtype=float32))"


def test_copies_and_pickles_keep_values_and_sharing():
    tied = Tied()
    for twin in (copy.deepcopy(tied), pickle.loads(pickle.dumps(tied))):
        assert twin.a.weight is twin.b.weight
        assert isinstance(twin.a.weight, nn.Parameter)
        assert twin.a.weight.requires_grad
        twin.a.weight.data[:] = 9
    assert not (tied.a.weight.data == 9).any()


def test_state_dicts_of_torch_load_as_they_are():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    theirs = torch.nn.Sequential(
        torch.nn.Embedding(5, 3), torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.LayerNorm(4)
    )
    ours = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4))
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ids = np.array([[0, 4, 2]])
    expected = theirs(torch.from_numpy(ids)).detach().numpy()
    np.testing.assert_allclose(ours(ids).data, expected, rtol=1e-5, atol=1e-6)


def test_a_state_dict_that_shares_memory_with_the_module_can_be_loaded():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    both = nn.Sequential(a, b)
    before = both.state_dict()
    swapped = {f"{1 - i}.{name}": getattr(both[i], name).data for i in range(2) for name in ("weight", "bias")}
    both.load_state_dict(swapped)
    np.testing.assert_array_equal(a.weight.data, before["1.weight"])
    np.testing.assert_array_equal(b.weight.data, before["0.weight"])
