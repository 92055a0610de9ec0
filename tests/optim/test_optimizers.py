"""The optimisers: compared with PyTorch over many steps, by hand, and their errors."""

import math

import numpy as np
import pytest

from minirnn import Tensor, checkpoint, nn, optim

# 20 steps of about 10 float64 operations each (a rounding error of 1.1e-16), in a different order than PyTorch's.
PEER = {"rtol": 1e-12, "atol": 1e-14}
SHAPES = [(3, 4), (4,), (), (2, 1, 3)]

OPTIONS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.3}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.03, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.3}),
    ("RMSprop", {"momentum": 0.7}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.3, "weight_decay": 0.2, "eps": 1e-3}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.8), "eps": 1e-2, "weight_decay": 0.3}),
    ("Adam", {"betas": (0.0, 0.9)}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "betas": (0.5, 0.8), "eps": 1e-2, "weight_decay": 0.3}),
    ("AdamW", {"weight_decay": 0.0}),
]


def rng(seed=0):
    return np.random.default_rng(seed)


def parameters(seed=0, dtype=np.float64):
    generator = rng(seed)
    return [nn.Parameter(np.asarray(generator.standard_normal(shape), dtype)) for shape in SHAPES]


def with_gradients(params, seed):
    generator = rng(seed)
    for p in params:
        p.grad = np.asarray(generator.standard_normal(p.shape), p.dtype)
    return params


def run(name, options, steps, dtype=np.float64):
    params = parameters(dtype=dtype)
    optimizer = getattr(optim, name)(params, **{"lr": 0.01, **options})
    for k in range(steps):
        with_gradients(params, k)
        optimizer.step()
    return params, optimizer


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_twenty_steps_equal_torch(name, options):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours = parameters()
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]
    ours_optimizer = getattr(optim, name)(ours, **options)
    theirs_optimizer = getattr(torch.optim, name)(theirs, **options)
    for k in range(20):
        with_gradients(ours, k)
        if k in (0, 7):
            ours[1].grad = None  # its state starts at step 1, and pauses at step 7
        for p, q in zip(ours, theirs, strict=True):
            q.grad = None if p.grad is None else torch.tensor(p.grad)
        ours_optimizer.step()
        theirs_optimizer.step()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.data, q.detach().numpy(), err_msg=f"step {k}", **PEER)


def one_step(name, p, g, **options):
    parameter = nn.Parameter(np.array([p]))
    parameter.grad = np.array([g])
    getattr(optim, name)([parameter], **options).step()
    return parameter.data[0]


def test_first_steps_by_hand():
    assert one_step("SGD", 1.0, 2.0, lr=0.5) == 0.0
    assert one_step("SGD", 1.0, 2.0, lr=0.5, weight_decay=1.0) == 1 - 0.5 * 3
    assert one_step("SGD", 1.0, 2.0, lr=0.5, momentum=0.5, nesterov=True) == 1 - 0.5 * (2 + 0.5 * 2)
    assert one_step("RMSprop", 1.0, 2.0, lr=0.5, alpha=0.75, eps=0.0) == 1 - 0.5 * 2 / math.sqrt(0.25 * 4)
    assert one_step("Adagrad", 1.0, -2.0, lr=0.5, eps=0.0) == 1.5
    assert one_step("RMSprop", 1.0, 2.0, lr=0.5, alpha=0.75, eps=1.0) == 1 - 0.5 * 2 / (math.sqrt(0.25 * 4) + 1)
    # Adam's first step is lr times the sign of the gradient, for any size of the gradient.
    np.testing.assert_allclose(one_step("Adam", 1.0, 1e-3, lr=0.5, eps=0.0), 0.5, rtol=1e-14)
    np.testing.assert_allclose(one_step("AdamW", 1.0, 1e-3, lr=0.5, eps=0.0, weight_decay=0.2), 0.4, rtol=1e-14)


def two_steps(optimizer, first, second):
    (p,) = optimizer.params
    for g in (first, second):
        p.grad = np.array([g])
        optimizer.step()
    return p.data[0]


def test_second_steps_by_hand():
    p = [nn.Parameter(np.array([0.0])) for _ in range(4)]
    assert two_steps(optim.SGD([p[0]], 1.0, momentum=0.5), 1.0, 2.0) == -1 - 2.5
    assert two_steps(optim.Adagrad([p[1]], 1.0, eps=0.0), 3.0, 4.0) == -1 - 4 / 5
    first, second = 1 / math.sqrt(0.25), 3 / math.sqrt(0.75 * 0.25 + 0.25 * 9)
    moved = two_steps(optim.RMSprop([p[2]], 1.0, alpha=0.75, eps=0.0, momentum=0.5), 1.0, 3.0)
    np.testing.assert_allclose(moved, -first - (0.5 * first + second), rtol=1e-14)
    m, v = 0.5 * 0.5 * 1 + 0.5 * 3, 0.75 * 0.25 * 1 + 0.25 * 9
    moved = two_steps(optim.Adam([p[3]], 1.0, betas=(0.5, 0.75), eps=0.0), 1.0, 3.0)
    np.testing.assert_allclose(moved, -1 - (m / (1 - 0.5**2)) / math.sqrt(v / (1 - 0.75**2)), rtol=1e-14)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_steps_lower_a_loss(name, options):
    target = rng(1).standard_normal((3, 4)).astype(np.float32)
    p = nn.Parameter(np.zeros((3, 4), np.float32))
    optimizer = getattr(optim, name)([p], **options)
    losses = []
    for _ in range(20):
        loss = nn.mse_loss(p, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_steps_are_in_place_and_keep_float32(name, options):
    params = parameters(dtype=np.float32)
    held = [p.data for p in params]
    optimizer = getattr(optim, name)(params, **options)
    for k in range(2):
        with_gradients(params, k)
        gradients = [p.grad.copy() for p in params]
        optimizer.step()
        for p, g in zip(params, gradients, strict=True):
            np.testing.assert_array_equal(p.grad, g)
    for p, data, state in zip(params, held, optimizer.state, strict=True):
        assert p.data is data
        assert data.dtype == np.float32
        assert all(v.dtype == np.float32 for k, v in state.items() if k != "step")


def test_float32_steps_are_float64_steps_rounded():
    for name, options in OPTIONS:
        single, _ = run(name, options, 5, np.float32)
        double, _ = run(name, options, 5)
        for p, q in zip(single, double, strict=True):
            np.testing.assert_allclose(p.data, q.data, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_non_contiguous_parameter_is_updated_too():
    p = Tensor(np.zeros((4, 6))[:, ::2].T, requires_grad=True)
    p.grad = np.ones(p.shape)
    optim.Adam([p], 0.5).step()
    np.testing.assert_allclose(p.data, -0.5, rtol=1e-6)


def test_a_parameter_without_gradient_is_skipped():
    p, q = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    optimizer = optim.AdamW([p, q], 0.1)
    p.grad = np.ones(2)
    optimizer.step()
    assert (q.data == 1).all()
    assert optimizer.state[1] == {}
    assert q._version == 0


def test_a_graph_from_before_a_step_refuses_to_be_walked():
    p = nn.Parameter(np.ones(2))
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optim.SGD([p], 0.1).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_zero_grad_forgets_gradients():
    params = with_gradients(parameters(), 1)
    optim.SGD(iter(params), 0.1).zero_grad()
    assert all(p.grad is None for p in params)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_a_restored_optimizer_continues_bit_for_bit(name, options, tmp_path):
    whole, _ = run(name, options, 6)
    params, optimizer = run(name, options, 3)
    checkpoint.save(tmp_path / "state", optimizer.state_dict())
    fresh = getattr(optim, name)(params, lr=123.0)
    fresh.load_state_dict(checkpoint.load(tmp_path / "state"))
    assert fresh.state_dict()["options"] == optimizer.state_dict()["options"]
    for k in range(3, 6):
        with_gradients(params, k)
        fresh.step()
    for p, q in zip(params, whole, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_state_dict_is_a_copy():
    params, optimizer = run("Adam", {}, 2)
    saved = optimizer.state_dict()
    kept = saved["state"][0]["exp_avg"].copy()
    with_gradients(params, 9)
    optimizer.step()
    np.testing.assert_array_equal(saved["state"][0]["exp_avg"], kept)
    assert saved["state"][0]["step"] == 2
    optimizer.load_state_dict(saved)
    optimizer.step()
    np.testing.assert_array_equal(saved["state"][0]["exp_avg"], kept)


def spoilt(change):
    state = run("Adam", {}, 1)[1].state_dict()
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("state"), "expected the entries optimizer, options and state"),
        (lambda s: s.update(optimizer="SGD"), "expected a state of Adam, got one of SGD"),
        (lambda s: s["options"].pop("eps"), "expected the options"),
        (lambda s: s["options"].update(lr=-1.0), "lr: expected a finite number >= 0"),
        (lambda s: s["state"].pop(), "expected the states of 4 parameters, got 3"),
        (lambda s: s["state"][1].pop("exp_avg"), r"parameter 1: expected \['exp_avg', 'exp_avg_sq', 'step'\]"),
        (
            lambda s: s["state"][3].update(exp_avg=np.zeros(2)),
            r"parameter 3: exp_avg: .* \(2, 1, 3\), got .* \(2,\)",
        ),
        (lambda s: s["state"][1].update(exp_avg=np.zeros(4, np.float32)), "expected float64 .* got float32"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    optimizer = run("Adam", {"lr": 0.25}, 2)[1]
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(spoilt(change))
    after = optimizer.state_dict()
    assert after["options"] == before["options"]
    for a, b in zip(after["state"], before["state"], strict=True):
        assert a.keys() == b.keys()
        for k in a:
            np.testing.assert_array_equal(a[k], b[k])


P = [nn.Parameter(np.ones(2))]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.SGD([], 0.1), ValueError, "params: expected at least one parameter, got none"),
        (lambda: optim.SGD(P + P, 0.1), ValueError, "the same parameter appears twice"),
        (lambda: optim.SGD(P[0], 0.1), TypeError, "got one Tensor"),
        (lambda: optim.SGD([np.ones(2)], 0.1), TypeError, r"params\[0\]: expected a Tensor, got ndarray"),
        (lambda: optim.SGD([Tensor(1.0)], 0.1), TypeError, r"params\[0\].* does not require grad"),
        (lambda: optim.SGD([P[0] * 2], 0.1), TypeError, r"params\[0\].* an operation made it"),
        (lambda: optim.SGD(P, -0.1), ValueError, r"lr: expected a finite number >= 0, got -0\.1"),
        (lambda: optim.SGD(P, math.nan), ValueError, "lr: expected"),
        (lambda: optim.SGD(P, math.inf), ValueError, "lr: expected"),
        (lambda: optim.SGD(P, "0.1"), TypeError, "lr: expected a number, got '0.1'"),
        (lambda: optim.SGD(P, 0.1, momentum=-1), ValueError, "momentum: expected"),
        (lambda: optim.SGD(P, 0.1, nesterov=True), ValueError, "nesterov: needs a momentum"),
        (lambda: optim.SGD(P, 0.1, weight_decay=-1), ValueError, "weight_decay: expected"),
        (lambda: optim.Adam(P, betas=(0.9, 1.0)), ValueError, r"betas: expected two numbers in \[0, 1\), got"),
        (lambda: optim.Adam(P, betas=(-0.1, 0.9)), ValueError, "betas: expected"),
        (lambda: optim.Adam(P, betas=(0.9,)), ValueError, "betas: expected"),
        (lambda: optim.Adam(P, eps=-1), ValueError, "eps: expected"),
        (lambda: optim.RMSprop(P, alpha=-1), ValueError, "alpha: expected"),
        (lambda: optim.RMSprop(P, alpha=1.5), ValueError, "alpha: expected"),
        (lambda: optim.Adagrad(P, eps=-1), ValueError, "eps: expected"),
    ],
)
def test_optimizers_refuse(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_state_of_another_dtype_than_its_parameter_is_refused():
    p = Tensor(np.ones(2, np.float32), requires_grad=True)
    optimizer = optim.Adam([p])
    p.grad = np.ones(2, np.float32)
    optimizer.step()
    p.data, p.grad = p.data.astype(np.float64), p.grad.astype(np.float64)
    with pytest.raises(TypeError, match=r"params\[0\] is float64 on cpu, its exp_avg is float32 on"):
        optimizer.step()
