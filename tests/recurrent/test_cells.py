"""cells.py: every gradient of every step, against the complex step, with a random upstream gradient of every result."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.recurrent.cells import STEPS, STEPS_BACKWARD, gru_step, lstm_step
from minirnn_kernels.cell import CELLS

STEP = 1e-30  # of the complex step: its square underflows, so there is no truncation error and no cancellation
RTOL = 1e-12  # float64's epsilon times some thousand roundings in sums of up to four gates' blocks
# "rnn-tanh", "rnn-relu", "lstm", "gru"
VARIANTS = [f"{c.name}-{n}".rstrip("-") for c in CELLS.values() for n in c.nonlinearities or [""]]


def split(variant):
    """Return the cell and the options of the step for a name such as "rnn-relu"."""
    name, _, nonlinearity = variant.partition("-")
    return CELLS[name], {"nonlinearity": nonlinearity} if nonlinearity else {}


def step(variant, *arguments):
    """Return the next states and the cache."""
    cell, options = split(variant)
    *states, cache = STEPS[cell.name](*arguments, **options)
    return states, cache


def step_backward(variant, upstream, cache):
    return STEPS_BACKWARD[split(variant)[0].name](*upstream, cache)


def draw(variant, B, I, H, seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    cell, _ = split(variant)
    shapes = [(B, I), *[(B, H)] * len(cell.states), *cell.shapes(I, H).values()]
    arguments = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    upstream = [rng.standard_normal((B, H)).astype(dtype) for _ in cell.states]
    return arguments, upstream


sizes = st.lists(st.integers(1, 5), min_size=3, max_size=3, unique=True)


@pytest.mark.parametrize("variant", VARIANTS)
@given(sizes=sizes, seed=st.integers(0, 2**32 - 1))
def test_every_gradient_by_complex_step(variant, sizes, seed):
    arguments, upstream = draw(variant, *sizes, seed)
    _, cache = step(variant, *arguments)
    gradients = step_backward(variant, upstream, cache)
    rng = np.random.default_rng(seed)
    for position, (argument, gradient) in enumerate(zip(arguments, gradients, strict=True)):
        assert gradient.shape == argument.shape
        for flat in rng.permutation(argument.size)[:8]:
            index = np.unravel_index(flat, argument.shape)
            moved = [a.astype(complex) for a in arguments]
            moved[position][index] += 1j * STEP
            terms = [g * np.imag(y) / STEP for g, y in zip(upstream, step(variant, *moved)[0], strict=True)]
            scale = sum(np.sum(np.abs(t)) for t in terms) + 1e-3
            assert abs(gradient[index] - sum(map(np.sum, terms))) <= RTOL * scale, (variant, position, index)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_dtype_of_the_arguments_is_kept(variant, dtype):
    arguments, upstream = draw(variant, 2, 3, 4, seed=1, dtype=dtype)
    states, cache = step(variant, *arguments)
    assert {a.dtype for a in (*states, *step_backward(variant, upstream, cache))} == {np.dtype(dtype)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_are_pure(variant):
    arguments, upstream = draw(variant, 2, 3, 4, seed=2)
    for array in (*arguments, *upstream):
        array.flags.writeable = False
    _, cache = step(variant, *arguments)
    first, second = step_backward(variant, upstream, cache), step_backward(variant, upstream, cache)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_empty_batch_works(variant):
    arguments, upstream = draw(variant, 0, 3, 4, seed=3)
    states, cache = step(variant, *arguments)
    assert all(s.shape == (0, 4) for s in states)
    for gradient, argument in zip(step_backward(variant, upstream, cache), arguments, strict=True):
        assert gradient.shape == argument.shape
        assert not gradient.any()


def test_an_lstm_with_an_open_forget_gate_and_a_closed_input_gate_keeps_its_cell_state():
    (x, h, c, W_ih, W_hh, b), _ = draw("lstm", 2, 3, 4, seed=4)
    b = np.concatenate([np.full(4, -800.0), np.full(4, 800.0), b[8:]])
    _, c_next, _ = lstm_step(x, h, c, W_ih, W_hh, b)
    assert np.array_equal(c_next, c)


def test_a_gru_with_an_open_update_gate_keeps_its_state():
    (x, h, W_ih, W_hh, b_ih, b_hh), _ = draw("gru", 2, 3, 4, seed=5)
    b_ih[4:8] = 800.0
    h_next, _ = gru_step(x, h, W_ih, W_hh, b_ih, b_hh)
    assert np.array_equal(h_next, h)
