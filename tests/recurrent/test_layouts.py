"""layouts.py: conversions preserve the weights' meaning, and reproduce the published numbers of CS231n."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn_kernels
from minirnn.recurrent.cells import lstm_step, rnn_step
from minirnn.recurrent.layouts import LAYOUTS, convert
from minirnn_kernels.cell import CELLS

PAIRS = [
    (c, s, t) for c in CELLS for s in LAYOUTS for t in LAYOUTS if c in LAYOUTS[s].orders and c in LAYOUTS[t].orders
]
PRINTED = 0.5e-8  # the course prints eight decimals


def weights(cell, I, H, seed, transposed=False):
    rng = np.random.default_rng(seed)
    K = len(CELLS[cell].gates) * H
    W_ih, W_hh = rng.standard_normal((K, I)), rng.standard_normal((K, H))
    biases = [rng.standard_normal(K) for _ in CELLS[cell].biases]
    return (W_ih.T, W_hh.T, *biases) if transposed else (W_ih, W_hh, *biases)


@pytest.mark.parametrize(("cell", "source", "target"), PAIRS)
@given(I=st.integers(1, 5), H=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_a_conversion_and_its_inverse_give_the_original_weights(cell, source, target, I, H, seed):
    original = weights(cell, I, H, seed, LAYOUTS[source].transposed)
    there = convert(cell, source, target, *original)
    back = convert(cell, target, source, *there)
    assert all(np.array_equal(a, b) for a, b in zip(original, back, strict=True))
    assert not any(np.shares_memory(a, b) for a, b in zip(original, there, strict=True))
    K = len(CELLS[cell].gates) * H
    assert there[0].shape == ((I, K) if LAYOUTS[target].transposed else (K, I))


@pytest.mark.parametrize(
    ("cell", "target", "blocks"),
    [
        ("lstm", "keras", [0, 1, 2, 3]),  # i f c o
        ("lstm", "onnx", [0, 3, 1, 2]),  # i o f c
        ("lstm", "cs231n", [0, 1, 3, 2]),  # i f o g
        ("gru", "keras", [1, 0, 2]),  # z r h
        ("gru", "onnx", [1, 0, 2]),  # z r h
    ],
)
def test_the_blocks_are_in_the_librarys_order(cell, target, blocks):
    H = 2
    W_ih, W_hh, *biases = weights(cell, 3, H, seed=7)
    got = convert(cell, "pytorch", target, W_ih, W_hh, *biases)
    for before, after in zip((W_ih, W_hh, *biases), got, strict=True):
        wanted = np.concatenate([before[k * H : (k + 1) * H] for k in blocks])
        assert np.array_equal(after.T if LAYOUTS[target].transposed and after.ndim == 2 else after, wanted)


def line(start, stop, *shape):
    return np.linspace(start, stop, num=int(np.prod(shape))).reshape(shape)


# The four cases of Stanford CS231n, assignment 3 (RNN_Captioning.ipynb, LSTM_Captioning.ipynb), with the arguments and
# the expected values of the notebooks. Batches are (N, T, D) there.


def test_cs231n_rnn_step_forward():
    N, D, H = 3, 10, 4
    W_ih, W_hh, b = convert(
        "rnn", "cs231n", "pytorch", line(-0.1, 0.9, D, H), line(-0.3, 0.7, H, H), line(-0.2, 0.4, H)
    )
    h, _ = rnn_step(line(-0.4, 0.7, N, D), line(-0.2, 0.5, N, H), W_ih, W_hh, b)
    expected = [
        [-0.58172089, -0.50182032, -0.41232771, -0.31410098],
        [0.66854692, 0.79562378, 0.87755553, 0.92795967],
        [0.97934501, 0.99144213, 0.99646691, 0.99854353],
    ]
    np.testing.assert_allclose(h, expected, rtol=0, atol=PRINTED)


def test_cs231n_rnn_forward():
    N, T, D, H = 2, 3, 4, 5
    parameters = convert("rnn", "cs231n", "pytorch", line(-0.2, 0.4, D, H), line(-0.4, 0.1, H, H), line(-0.7, 0.1, H))
    x, h0 = line(-0.1, 0.3, N, T, D), line(-0.3, 0.1, N, H)
    out, _, _ = minirnn_kernels.get("numpy").rnn.forward(x.swapaxes(0, 1), h0, *parameters)
    expected = [
        [
            [-0.42070749, -0.27279261, -0.11074945, 0.05740409, 0.22236251],
            [-0.39525808, -0.22554661, -0.0409454, 0.14649412, 0.32397316],
            [-0.42305111, -0.24223728, -0.04287027, 0.15997045, 0.35014525],
        ],
        [
            [-0.55857474, -0.39065825, -0.19198182, 0.02378408, 0.23735671],
            [-0.27150199, -0.07088804, 0.13562939, 0.33099728, 0.50158768],
            [-0.51014825, -0.30524429, -0.06755202, 0.17806392, 0.40333043],
        ],
    ]
    np.testing.assert_allclose(out.swapaxes(0, 1), expected, rtol=0, atol=PRINTED)


def test_cs231n_lstm_step_forward():
    N, D, H = 3, 4, 5
    parameters = convert(
        "lstm", "cs231n", "pytorch", line(-2.1, 1.3, D, 4 * H), line(-0.7, 2.2, H, 4 * H), line(0.3, 0.7, 4 * H)
    )
    h, c, _ = lstm_step(line(-0.4, 1.2, N, D), line(-0.3, 0.7, N, H), line(-0.4, 0.9, N, H), *parameters)
    expected_h = [
        [0.24635157, 0.28610883, 0.32240467, 0.35525807, 0.38474904],
        [0.49223563, 0.55611431, 0.61507696, 0.66844003, 0.7159181],
        [0.56735664, 0.66310127, 0.74419266, 0.80889665, 0.858299],
    ]
    expected_c = [
        [0.32986176, 0.39145139, 0.451556, 0.51014116, 0.56717407],
        [0.66382255, 0.76674007, 0.87195994, 0.97902709, 1.08751345],
        [0.74192008, 0.90592151, 1.07717006, 1.25120233, 1.42395676],
    ]
    np.testing.assert_allclose(h, expected_h, rtol=0, atol=PRINTED)
    np.testing.assert_allclose(c, expected_c, rtol=0, atol=PRINTED)


def test_cs231n_lstm_forward():
    N, D, H, T = 2, 5, 4, 3
    parameters = convert(
        "lstm", "cs231n", "pytorch", line(-0.2, 0.9, D, 4 * H), line(-0.3, 0.6, H, 4 * H), line(0.2, 0.7, 4 * H)
    )
    x, h0 = line(-0.4, 0.6, N, T, D), line(-0.4, 0.8, N, H)
    out, *_ = minirnn_kernels.get("numpy").lstm.forward(x.swapaxes(0, 1), h0, np.zeros((N, H)), *parameters)
    expected = [
        [
            [0.01764008, 0.01823233, 0.01882671, 0.0194232],
            [0.11287491, 0.12146228, 0.13018446, 0.13902939],
            [0.31358768, 0.33338627, 0.35304453, 0.37250975],
        ],
        [
            [0.45767879, 0.4761092, 0.4936887, 0.51041945],
            [0.6704845, 0.69350089, 0.71486014, 0.7346449],
            [0.81733511, 0.83677871, 0.85403753, 0.86935314],
        ],
    ]
    np.testing.assert_allclose(out.swapaxes(0, 1), expected, rtol=0, atol=PRINTED)


@pytest.mark.parametrize(
    ("arguments", "shapes", "message"),
    [
        (("mlp", "keras", "onnx"), [(4, 3), (4, 4)], "cell is 'mlp', expected one of 'rnn', 'lstm', 'gru'"),
        (("rnn", "jax", "onnx"), [(4, 3), (4, 4)], "source is 'jax', expected one of 'pytorch', "),
        (("rnn", "onnx", "jax"), [(4, 3), (4, 4)], "target is 'jax', expected one of 'pytorch', "),
        (("gru", "pytorch", "cs231n"), [(6, 3), (6, 2)], "target is 'cs231n', which has no gru"),
        (("lstm", "pytorch", "keras"), [(8, 3), (2, 8)], r"W_hh has shape \(2, 8\), expected \(4H, H\)"),
        (("lstm", "keras", "onnx"), [(3, 8), (8, 2)], r"W_hh has shape \(8, 2\), expected \(H, 4H\)"),
        (("lstm", "pytorch", "keras"), [(8, 3), (8,)], r"W_hh has shape \(8,\), expected \(4H, H\)"),
        (("lstm", "pytorch", "keras"), [(3, 8), (8, 2)], r"W_ih has shape \(3, 8\), expected \(8, I\)"),
        (("lstm", "keras", "onnx"), [(8, 3), (2, 8)], r"W_ih has shape \(8, 3\), expected \(I, 8\)"),
        (("lstm", "pytorch", "keras"), [(8, 3), (8, 2), (2,)], r"bias 1 has shape \(2,\), expected \(8,\)"),
    ],
)
def test_mistakes_are_named(arguments, shapes, message):
    with pytest.raises(ValueError, match=message):
        convert(*arguments, *map(np.zeros, shapes))
