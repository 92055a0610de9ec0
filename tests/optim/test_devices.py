"""Optimisers and clipping on a simulated GPU that refuses to mix arrays with the host's."""

import numpy as np
import pytest

from minirnn import Tensor, nn, optim
from tests.autograd.device_arrays import normal, rng, same, there, twins
from tests.doubles.strict_array import StrictArray

pytestmark = pytest.mark.usefixtures("gpu")


OPTIMIZERS = [
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adam", {"weight_decay": 0.1}),
    ("AdamW", {}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimisers_stay_on_their_device_and_their_state_moves(name, options):
    def steps(module, place, optimizer, count):
        for k in range(count):
            for p in module.parameters():
                p.grad = place(rng(k).normal(size=p.shape).astype(np.float32))
            optimizer.step()

    host, device = twins(lambda: nn.Linear(3, 4))
    a, b = (getattr(optim, name)(m.parameters(), lr=0.1, **options) for m in (host, device))
    steps(host, lambda g: g, a, 3)
    steps(device, there, b, 3)
    for s, t in zip(a.state_dict()["state"], b.state_dict()["state"], strict=True):
        assert all(type(t[k]) is type(s[k]) for k in s)
        assert all(np.array_equal(t[k], s[k]) for k in s)
    c = getattr(optim, name)(device.parameters(), lr=0.1)
    if name in ("SGD", "RMSprop"):
        c.momentum = 0.1
    c.load_state_dict(a.state_dict())
    steps(host, lambda g: g, a, 2)
    steps(device, there, c, 2)
    for p, q in zip(host.parameters(), device.parameters(), strict=True):
        same(p.data, q.data)
    device.to("cpu")
    with pytest.raises(TypeError, match=r"float32 on cpu, its \w+ is float32 on cupy: make a new optimiser after .to"):
        steps(device, lambda g: g, c, 1)


@pytest.mark.parametrize("size", [1.0, 1e-30, 1e30, 0.0, np.inf, np.nan])
def test_clipping_stays_on_its_device(size):
    def clipped(place):
        t = [Tensor(place(np.zeros(n, np.float32)), requires_grad=True) for n in (3, 2, 0)]
        for p, g in zip(t, ([3, 4, 1], [2, 0], []), strict=True):
            with np.errstate(invalid="ignore"):
                p.grad = place((np.array(g) * size).astype(np.float32))
        norm = optim.clip_grad_norm_(t, 1.0)
        optim.clip_grad_value_(t, 0.5)
        return norm, [p.grad for p in t]

    (a, expected), (b, found) = clipped(lambda g: g), clipped(there)
    np.testing.assert_equal(b, a)
    for g, h in zip(expected, found, strict=True):
        same(g, h)


def test_clipping_reads_back_once(monkeypatch):
    grads = [Tensor(there(normal(n)), requires_grad=True) for n in (2, 3, 4)]
    for t in grads:
        t.grad = t.data
    read = []
    get = StrictArray.get
    monkeypatch.setattr(StrictArray, "get", lambda self: read.append(self.shape) or get(self))
    monkeypatch.delattr(StrictArray, "__float__")
    optim.clip_grad_norm_(grads, 0.1)
    assert read == [(3,)]
