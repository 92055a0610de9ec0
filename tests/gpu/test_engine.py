"""The engine on a GPU computes the same numbers as on the host, from operations to training and checkpoints."""

import numpy as np
import pytest

import minirnn
from minirnn import Tensor, load, nn, optim, save
from tests.autograd.operations.cases import CASES
from tests.autograd.operations.draw import Draw

CLOSE = 1e-10  # float64: a few dozen roundings, and different implementations of exp, log and tanh


def close(a, b, what):
    assert a.shape == b.shape, what
    assert a.dtype == b.dtype, what
    assert np.allclose(a, b, rtol=CLOSE, atol=CLOSE, equal_nan=True), what


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_every_operation_and_its_gradient(gpu, case):
    for seed in range(4):
        there, here = Draw.seeded(seed), Draw.seeded(seed)
        there.constant = gpu.to_device
        (f, arrays), (g, same) = case.make(there), case.make(here)
        ts = [Tensor(gpu.to_device(a), requires_grad=True) for a in arrays]
        us = [Tensor(a.copy(), requires_grad=True) for a in same]
        y, z = f(np, *ts), g(np, *us)
        close(gpu.to_host(y.data), z.data, f"{case.name}, seed {seed}: the result")
        upstream = np.random.default_rng(seed).standard_normal(z.shape).astype(z.dtype)
        y.backward(gpu.to_device(upstream))
        z.backward(upstream)
        for k, (t, u) in enumerate(zip(ts, us, strict=True)):
            assert type(t.grad) is type(t.data), f"{case.name}: the gradient left the device"
            close(gpu.to_host(t.grad), u.grad, f"{case.name}, seed {seed}: gradient {k}")


# ---- training --------------------------------------------------------------------------------------------------------

V, H, T, B = 11, 24, 9, 6


class Model(nn.Module):
    def __init__(self, cell, dtype):
        super().__init__()
        self.embedding = nn.Embedding(V, 16, dtype=dtype)
        self.rnn = getattr(nn, cell)(16, H, 2, dtype=dtype)
        self.head = nn.Linear(H, V, dtype=dtype)

    def forward(self, ids, lengths):
        out, _ = self.rnn(self.embedding(ids), lengths=lengths)
        return nn.cross_entropy(self.head(out).reshape(-1, V), np.roll(ids, -1, axis=0).reshape(-1))


class Run:
    """A model and its optimiser on a device."""

    def __init__(self, device, cell="LSTM", dtype=np.float64, state=None):
        minirnn.manual_seed(1)
        self.model = Model(cell, dtype)
        self.device, self.step = device, 0
        if state is not None:
            self.model.load_state_dict(state["model"])
        if device != "cpu":
            self.model.to(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.02)
        if state is not None:
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]

    def losses(self, count):
        found = []
        with minirnn.kernels("numpy" if self.device == "cpu" else "cupy"):
            for _ in range(count):
                rng = np.random.default_rng(self.step % 2)  # alternates between two batches, which can be learned
                ids, lengths = rng.integers(0, V, (T, B)), rng.integers(1, T + 1, B)
                self.optimizer.zero_grad()
                loss = self.model(ids, lengths)
                loss.backward()
                optim.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                found.append(loss.item())
                self.step += 1
        return found

    def state(self):
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_twenty_steps_have_the_losses_of_the_host(gpu, cell, dtype):
    there, here = (Run(device, cell, dtype).losses(20) for device in ("cupy", "cpu"))
    assert here[-1] < here[0]
    assert np.allclose(there, here, rtol=1e-9 if dtype == np.float64 else 1e-3)


@pytest.mark.parametrize(("first", "then"), [("cupy", "cpu"), ("cpu", "cupy"), ("cupy", "cupy")])
def test_a_checkpoint_goes_on_where_it_is_loaded(gpu, tmp_path, first, then):
    begun = Run(first)
    begun.losses(5)
    save(tmp_path / "run.safetensors", begun.state())
    state = load(tmp_path / "run.safetensors")
    assert all(type(a) is np.ndarray for a in state["model"].values())
    continued = Run(then, state=state).losses(5)
    assert np.allclose(continued, Run("cpu").losses(10)[5:], rtol=1e-9)


def test_arrays_of_two_devices_do_not_mix(gpu):
    layer = nn.LSTM(3, 4)
    layer.to("cupy")
    with pytest.raises(TypeError, match="on cpu, the parameters are on cupy"), minirnn.kernels("cupy"):
        layer(Tensor(np.zeros((2, 1, 3), np.float32)))
