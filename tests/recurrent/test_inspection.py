"""Inspection: the gates agree with the layer's output, and the influence with other gradients."""

import numpy as np
import pytest

from minirnn import Tensor, grad, nn
from minirnn.recurrent.inspection import gates, influence
from minirnn.recurrent.state import from_parts, parts
from minirnn_kernels.cell import CELLS
from minirnn_kernels.gates import gru_gates, lstm_gates, rnn_gates

T, B, I, H = 7, 3, 2, 5
NAMES = {c.title: "".join(dict.fromkeys((*c.gates, *c.states))) for c in CELLS.values()}
GATES = {c.title: "".join(c.gates) for c in CELLS.values()}


def layer(kind, seed=0, **options):
    return getattr(nn, kind)(I, H, dtype=np.float64, rng=np.random.default_rng(seed), **options)


def state_of(kind, rng, B=B):
    return from_parts([rng.uniform(-1, 1, (1, B, H)) for _ in CELLS[kind.lower()].states])


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
def test_layouts_and_tensors_give_the_same_gates(kind):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((T, B, I))
    wanted = gates(layer(kind), x)
    turned = gates(layer(kind, batch_first=True), Tensor(x.swapaxes(0, 1)))
    single = gates(layer(kind), x[:, 1])
    for name, a in wanted.items():
        np.testing.assert_array_equal(turned[name], a)
        np.testing.assert_allclose(single[name], a[:, 1:2], rtol=1e-12)


def test_unsupported_modules_are_refused():
    x = np.zeros((T, B, I))
    with pytest.raises(ValueError, match="one layer in one direction"):
        gates(layer("LSTM", num_layers=2), x)
    with pytest.raises(ValueError, match="one layer in one direction"):
        gates(layer("GRU", bidirectional=True), x)
    with pytest.raises(TypeError, match=r"expected an nn\.RNN"):
        gates(nn.Linear(I, H), x)
    with pytest.raises(ValueError, match="x: expected shape"):
        gates(layer("RNN"), x[..., :1])


def composed(module, x, state, through):
    """Return h and c of each step as an autograd graph; the blocks outside `through` get h without its gradient."""
    kind, (h, *c) = module.kind, [Tensor(s[0], requires_grad=True) for s in parts(state)]
    W_ih, W_hh = module.weight_ih_l0, module.weight_hh_l0
    names = CELLS[kind].gates
    hs, cs = [], []
    for x_t in x:
        a_ih = x_t @ W_ih.T + module.bias_ih_l0
        blocks = [
            [h.detach(), h][name in through] @ W.T for name, W in zip(names, np.split(W_hh, len(names)), strict=True)
        ]
        a_hh = np.concatenate(blocks, -1) + module.bias_hh_l0
        if kind == "rnn":
            h = rnn_gates(a_ih + a_hh, module.nonlinearity)
        elif kind == "lstm":
            h, *c = lstm_gates(a_ih + a_hh, c[0])[:2]
        else:
            h = gru_gates(a_ih, a_hh, h)[0]
        hs.append(h)
        cs += c
    return hs, cs


CASES = [*GATES.items(), ("LSTM", ""), ("LSTM", "fo"), ("GRU", ""), ("GRU", "n")]


@pytest.mark.parametrize(("kind", "through"), [*CASES, ("RNN", "")])
def test_influence_is_the_norm_of_autograds_gradients(kind, through):
    rng = np.random.default_rng(3)
    module, x, state = layer(kind), rng.standard_normal((T, B, I)), state_of(kind, rng)
    grads = rng.standard_normal((T, B, H))
    found = influence(module, x, grads, state, None if through == GATES[kind] else through)
    hs, cs = composed(module, x, state, through)
    for name, states in {"h": hs, "c": cs}.items():
        for t in range(T if states else 0):
            assert not found[name][t, t + 1 :].any()
            for s in range(t + 1):
                loss = (hs[t] * grads[t]).sum() + 0 * states[s].sum()  # so that the state is always in the graph
                wanted = np.linalg.norm(grad(loss, [states[s]], retain_graph=True)[0].data)
                np.testing.assert_allclose(found[name][t, s], wanted, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(("kind", "name"), [("RNN", "h"), ("LSTM", "h"), ("LSTM", "c"), ("GRU", "h")])
def test_influence_is_what_moving_a_state_does_to_a_later_loss(kind, name):
    rng = np.random.default_rng(4)
    module, x, grads = layer(kind), rng.standard_normal((T, 1, I)), rng.standard_normal((T, 1, H))
    s, step = 2, 1e-5
    shown = gates(module, x)

    def losses(moved):
        """Return dot(g_t, h_t) for each step after s, with the state after step s perturbed."""
        h, c = (shown[n][s] + moved if n == name else shown.get(n, shown["h"])[s] for n in "hc")
        if name == "c":
            h = shown["o"][s] * np.tanh(c)
        out, _ = module(x[s + 1 :], (h[None], c[None]) if kind == "LSTM" else h[None])
        return np.sum(out.data * grads[s + 1 :], axis=(1, 2))

    slopes = [(losses(step * unit) - losses(-step * unit)) / (2 * step) for unit in np.eye(H)]
    found = influence(module, x, grads)[name]
    np.testing.assert_allclose(found[s + 1 :, s], np.linalg.norm(slopes, axis=0), rtol=1e-7)


def test_influence_takes_the_layouts_of_the_module():
    rng = np.random.default_rng(5)
    x, grads = rng.standard_normal((T, 1, I)), rng.standard_normal((T, 1, H))
    wanted = influence(layer("LSTM"), x, grads)["c"]
    turned = influence(layer("LSTM", batch_first=True), x.swapaxes(0, 1), grads.swapaxes(0, 1))["c"]
    single = influence(layer("LSTM"), x[:, 0], grads[:, 0])["c"]
    np.testing.assert_allclose(turned, wanted, rtol=1e-12)
    np.testing.assert_allclose(single, wanted, rtol=1e-12)
    with pytest.raises(ValueError, match="grads: expected"):
        influence(layer("LSTM"), x, grads[1:])
    with pytest.raises(ValueError, match="through: expected gates among i, f, g, o"):
        influence(layer("LSTM"), x, grads, through="z")
