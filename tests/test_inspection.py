"""What is shown of a layer is what the layer computes: gates against its own output and its equations."""

import numpy as np
import pytest

from minirnn import Tensor, nn
from minirnn.inspection import gates

T, B, I, H = 7, 3, 2, 5
NAMES = {"RNN": "h", "LSTM": "ifgoch", "GRU": "rznh"}


def layer(kind, seed=0, **options):
    return getattr(nn, kind)(I, H, dtype=np.float64, rng=np.random.default_rng(seed), **options)


def state_of(kind, rng, B=B):
    parts = tuple(rng.uniform(-1, 1, (1, B, H)) for _ in range(1 + (kind == "LSTM")))
    return parts if kind == "LSTM" else parts[0]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", NAMES)
def test_gates_are_those_of_the_module(kind, bias):
    rng = np.random.default_rng(1)
    module, x, state = layer(kind, bias=bias), rng.standard_normal((T, B, I)), state_of(kind, rng)
    shown = gates(module, x, state)
    assert "".join(shown) == NAMES[kind]
    assert all(a.shape == (T, B, H) for a in shown.values())
    out, final = module(x, state)
    np.testing.assert_allclose(shown["h"], out.data, rtol=1e-12, atol=1e-14)
    if kind == "LSTM":
        c = np.concatenate([state[1], shown["c"]])
        np.testing.assert_allclose(shown["c"][-1:], final[1].data, rtol=1e-12)
        np.testing.assert_allclose(c[1:], shown["f"] * c[:-1] + shown["i"] * shown["g"], rtol=1e-12)
        np.testing.assert_allclose(shown["h"], shown["o"] * np.tanh(shown["c"]), rtol=1e-12)
    if kind == "GRU":
        h = np.concatenate([state, shown["h"]])
        np.testing.assert_allclose(h[1:], (1 - shown["z"]) * shown["n"] + shown["z"] * h[:-1], rtol=1e-12)
        W, U = module.weight_ih_l0.data[:H], module.weight_hh_l0.data[:H]
        b = module.bias_ih_l0.data[:H] + module.bias_hh_l0.data[:H] if bias else 0
        np.testing.assert_allclose(shown["r"], 1 / (1 + np.exp(-(x @ W.T + h[:-1] @ U.T + b))), rtol=1e-12)


@pytest.mark.parametrize("kind", NAMES)
def test_layouts_and_tensors_show_the_same(kind):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((T, B, I))
    wanted = gates(layer(kind), x)
    turned = gates(layer(kind, batch_first=True), Tensor(x.swapaxes(0, 1)))
    single = gates(layer(kind), x[:, 1])
    for name, a in wanted.items():
        np.testing.assert_array_equal(turned[name], a)
        np.testing.assert_allclose(single[name], a[:, 1:2], rtol=1e-12)


def test_what_can_not_be_shown_is_refused():
    x = np.zeros((T, B, I))
    with pytest.raises(ValueError, match="one layer in one direction"):
        gates(layer("LSTM", num_layers=2), x)
    with pytest.raises(ValueError, match="one layer in one direction"):
        gates(layer("GRU", bidirectional=True), x)
    with pytest.raises(TypeError, match=r"expected an nn\.RNN"):
        gates(nn.Linear(I, H), x)
    with pytest.raises(ValueError, match="x: expected shape"):
        gates(layer("RNN"), x[..., :1])
