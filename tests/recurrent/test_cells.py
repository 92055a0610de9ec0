"""cells.py: every gradient of every step by complex step, with a random upstream into every result."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.recurrent import cells

STEP = 1e-30  # of the complex step: its square vanishes, so nothing is truncated and nothing cancels
RTOL = 1e-12  # float64's epsilon times some thousand roundings in sums of up to four gates' blocks

GATES = {"rnn-tanh": 1, "rnn-relu": 1, "lstm": 4, "gru": 3}
STATES = {"rnn-tanh": 1, "rnn-relu": 1, "lstm": 2, "gru": 1}
BIASES = {"rnn-tanh": 1, "rnn-relu": 1, "lstm": 1, "gru": 2}


def step(cell, *arguments):
    """-> the next states, cache"""
    if cell.startswith("rnn"):
        h, cache = cells.rnn_step(*arguments, nonlinearity=cell.removeprefix("rnn-"))
        return [h], cache
    *states, cache = cells.lstm_step(*arguments) if cell == "lstm" else cells.gru_step(*arguments)
    return states, cache


def step_backward(cell, upstream, cache):
    return getattr(cells, f"{cell.split('-')[0]}_step_backward")(*upstream, cache)


def draw(cell, B, I, H, seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    K = GATES[cell] * H
    shapes = [(B, I), *[(B, H)] * STATES[cell], (K, I), (K, H), *[(K,)] * BIASES[cell]]
    arguments = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    upstream = [rng.standard_normal((B, H)).astype(dtype) for _ in range(STATES[cell])]
    return arguments, upstream


sizes = st.lists(st.integers(1, 5), min_size=3, max_size=3, unique=True)


@pytest.mark.parametrize("cell", GATES)
@given(sizes=sizes, seed=st.integers(0, 2**32 - 1))
def test_every_gradient_by_complex_step(cell, sizes, seed):
    arguments, upstream = draw(cell, *sizes, seed)
    _, cache = step(cell, *arguments)
    gradients = step_backward(cell, upstream, cache)
    rng = np.random.default_rng(seed)
    for position, (argument, gradient) in enumerate(zip(arguments, gradients, strict=True)):
        assert gradient.shape == argument.shape
        for flat in rng.permutation(argument.size)[:8]:
            index = np.unravel_index(flat, argument.shape)
            moved = [a.astype(complex) for a in arguments]
            moved[position][index] += 1j * STEP
            terms = [g * np.imag(y) / STEP for g, y in zip(upstream, step(cell, *moved)[0], strict=True)]
            scale = sum(np.sum(np.abs(t)) for t in terms) + 1e-3
            assert abs(gradient[index] - sum(map(np.sum, terms))) <= RTOL * scale, (cell, position, index)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
@pytest.mark.parametrize("cell", GATES)
def test_the_dtype_of_the_arguments_is_kept(cell, dtype):
    arguments, upstream = draw(cell, 2, 3, 4, seed=1, dtype=dtype)
    states, cache = step(cell, *arguments)
    assert {a.dtype for a in (*states, *step_backward(cell, upstream, cache))} == {np.dtype(dtype)}


@pytest.mark.parametrize("cell", GATES)
def test_steps_are_pure(cell):
    arguments, upstream = draw(cell, 2, 3, 4, seed=2)
    for array in (*arguments, *upstream):
        array.flags.writeable = False
    _, cache = step(cell, *arguments)
    first, second = step_backward(cell, upstream, cache), step_backward(cell, upstream, cache)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("cell", GATES)
def test_an_empty_batch_works(cell):
    arguments, upstream = draw(cell, 0, 3, 4, seed=3)
    states, cache = step(cell, *arguments)
    assert all(s.shape == (0, 4) for s in states)
    for gradient, argument in zip(step_backward(cell, upstream, cache), arguments, strict=True):
        assert gradient.shape == argument.shape
        assert not gradient.any()


def test_an_lstm_with_its_forget_gate_open_and_its_input_gate_shut_keeps_its_cell():
    (x, h, c, W_ih, W_hh, b), _ = draw("lstm", 2, 3, 4, seed=4)
    b = np.concatenate([np.full(4, -800.0), np.full(4, 800.0), b[8:]])
    _, c_next, _ = cells.lstm_step(x, h, c, W_ih, W_hh, b)
    assert np.array_equal(c_next, c)


def test_a_gru_with_its_update_gate_open_keeps_its_state():
    (x, h, W_ih, W_hh, b_ih, b_hh), _ = draw("gru", 2, 3, 4, seed=5)
    b_ih[4:8] = 800.0
    h_next, _ = cells.gru_step(x, h, W_ih, W_hh, b_ih, b_hh)
    assert np.array_equal(h_next, h)
