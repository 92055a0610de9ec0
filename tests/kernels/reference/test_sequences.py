"""reference/sequences.py: sequences equal a loop over steps, keep the cells' symmetries and use the stated memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn_kernels
from minirnn.recurrent import cells
from minirnn_kernels.proof import SequenceCase, prove_case
from minirnn_kernels.proof.loop import VARIANTS

KERNELS = minirnn_kernels.get("numpy")
STATES = {name: len(variant.cell.states) for name, variant in VARIANTS.items()}
RTOL = 1e-11  # float64's epsilon times the terms of the longest sums, about 10 steps x 40 terms, and a margin of 100


def options(cell):
    return VARIANTS[cell].options


def function(cell, part):
    return getattr(KERNELS.of(VARIANTS[cell].cell.name), part)


def draw(cell, T, B, I, H, seed, dtype=np.float64):
    """Return arguments (x, states, W_ih, W_hh, biases) and upstream (dout, gradients of the final states)."""
    rng = np.random.default_rng(seed)
    facts = VARIANTS[cell].cell
    K = len(facts.gates) * H
    shapes = [(T, B, I), *[(B, H)] * STATES[cell], (K, I), (K, H), *[(K,)] * len(facts.biases)]
    arguments = [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]
    upstream = [rng.standard_normal(s).astype(dtype) for s in [(T, B, H), *[(B, H)] * STATES[cell]]]
    return arguments, upstream


def run(cell, arguments, upstream, lengths=None):
    """Return the results of the forward pass, and the gradients."""
    *results, cache = function(cell, "forward")(*arguments, lengths, **options(cell))
    return results, function(cell, "backward")(*upstream, cache)


def looped(cell, arguments, upstream):
    """Return the same results and gradients from `minirnn.recurrent.cells`, step by step."""
    n = STATES[cell]
    x, states, parameters = arguments[0], arguments[1 : n + 1], arguments[n + 1 :]
    name = VARIANTS[cell].cell.name
    out, caches = [], []
    for x_t in x:
        *states, cache = getattr(cells, f"{name}_step")(x_t, *states, *parameters, **options(cell))
        out.append(states[0])
        caches.append(cache)
    dout, *dstates = upstream
    dx, totals = [], [np.zeros_like(p) for p in parameters]
    for dout_t, cache in zip(dout[::-1], caches[::-1], strict=True):
        dstates[0] = dstates[0] + dout_t
        dx_t, *rest = getattr(cells, f"{name}_step_backward")(*dstates, cache)
        dstates, dparameters = rest[:n], rest[n:]
        dx.insert(0, dx_t)
        totals = [total + d for total, d in zip(totals, dparameters, strict=True)]
    return [np.stack(out), *states], [np.stack(dx), *dstates, *totals]


def assert_close(got, expected, rtol=RTOL):
    for k, (a, b) in enumerate(zip(got, expected, strict=True)):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(1, np.max(np.abs(b), initial=0)), err_msg=f"array {k}")


every_cell = pytest.mark.parametrize("cell", VARIANTS)
sizes = st.lists(st.integers(1, 9), min_size=4, max_size=4, unique=True)
seeds = st.integers(0, 2**32 - 1)


@every_cell
@given(sizes=sizes, seed=seeds)
def test_forward_and_backward_equal_the_looped_steps(cell, sizes, seed):
    arguments, upstream = draw(cell, *sizes, seed)
    for got, expected in zip(run(cell, arguments, upstream), looped(cell, arguments, upstream), strict=True):
        assert_close(got, expected)


@every_cell
@given(
    sizes=st.lists(st.integers(2, 70), min_size=4, max_size=4, unique=True),
    ragged=st.booleans(),
    seed=seeds,
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_any_sizes_are_proven(cell, sizes, ragged, seed, dtype):
    T, B, I, H = sizes
    prove_case(KERNELS, cell, SequenceCase(T=min(T, 12), B=B, I=I, H=H, ragged=ragged), seed=seed, dtype=dtype)


@every_cell
@given(sizes=sizes, seed=seeds)
def test_inference_gives_the_bits_of_the_forward(cell, sizes, seed):
    arguments, _ = draw(cell, *sizes, seed)
    lengths = np.random.default_rng(seed).integers(1, sizes[0] + 1, sizes[1])
    for given_lengths in (None, lengths):
        *results, _ = function(cell, "forward")(*arguments, given_lengths, **options(cell))
        inferred = function(cell, "inference")(*arguments, given_lengths, **options(cell))
        assert all(np.array_equal(a, b) for a, b in zip(results, inferred, strict=True))


@every_cell
@given(sizes=sizes, seed=seeds)
def test_permuting_the_batch_permutes_the_results(cell, sizes, seed):
    arguments, upstream = draw(cell, *sizes, seed)
    rng = np.random.default_rng(seed)
    rows, lengths = rng.permutation(sizes[1]), rng.integers(1, sizes[0] + 1, sizes[1])
    n = STATES[cell]

    def permuted(arrays):  # a sequence, then states
        return [arrays[0][:, rows], *(a[rows] for a in arrays[1 : n + 1]), *arrays[n + 1 :]]

    results, gradients = run(cell, arguments, upstream, lengths)
    other_results, other_gradients = run(cell, permuted(arguments), permuted(upstream), lengths[rows])
    assert_close(other_results, permuted(results))
    assert_close(other_gradients, permuted(gradients))


@every_cell
@given(sizes=sizes, seed=seeds)
def test_permuting_the_hidden_units_permutes_the_results(cell, sizes, seed):
    arguments, upstream = draw(cell, *sizes, seed)
    H, n = sizes[3], STATES[cell]
    units = np.random.default_rng(seed).permutation(H)
    across = np.concatenate(
        [k * H + units for k in range(len(VARIANTS[cell].cell.gates))]
    )  # the same permutation in the block of every gate

    def permuted(arrays):  # x or dx, states, W_ih, W_hh, biases
        x, states, W_ih, W_hh, biases = arrays[0], arrays[1 : n + 1], *arrays[n + 1 : n + 3], arrays[n + 3 :]
        return [x, *(s[:, units] for s in states), W_ih[across], W_hh[across][:, units], *(b[across] for b in biases)]

    results, gradients = run(cell, arguments, upstream)
    other_results, other_gradients = run(cell, permuted(arguments), [g[..., units] for g in upstream])
    assert_close(other_results, [a[..., units] for a in results])
    assert_close(other_gradients, permuted(gradients))


@every_cell
@given(sizes=sizes, seed=seeds)
def test_splitting_a_sequence_and_carrying_the_state_changes_nothing(cell, sizes, seed):
    arguments, upstream = draw(cell, sizes[0] + 1, *sizes[1:], seed)
    n = STATES[cell]
    x, states, parameters = arguments[0], arguments[1 : n + 1], arguments[n + 1 :]
    cut = 1 + seed % sizes[0]
    results, gradients = run(cell, arguments, upstream)

    forward, backward = function(cell, "forward"), function(cell, "backward")
    out_1, *middle, cache_1 = forward(x[:cut], *states, *parameters, **options(cell))
    out_2, *last, cache_2 = forward(x[cut:], *middle, *parameters, **options(cell))
    dx_2, *rest_2 = backward(upstream[0][cut:], *upstream[1:], cache_2)
    dx_1, *rest_1 = backward(upstream[0][:cut], *rest_2[:n], cache_1)
    assert_close([np.concatenate([out_1, out_2]), *last], results)
    totals = [a + b for a, b in zip(rest_1[n:], rest_2[n:], strict=True)]
    assert_close([np.concatenate([dx_1, dx_2]), *rest_1[:n], *totals], gradients)


@every_cell
@given(sizes=sizes, seed=seeds)
def test_the_backward_is_linear_in_the_upstream(cell, sizes, seed):
    arguments, first = draw(cell, *sizes, seed)
    _, second = draw(cell, *sizes, seed ^ 1)
    combined = run(cell, arguments, [2 * a - 3 * b for a, b in zip(first, second, strict=True)])[1]
    parts = zip(run(cell, arguments, first)[1], run(cell, arguments, second)[1], strict=True)
    assert_close(combined, [2 * a - 3 * b for a, b in parts])


@every_cell
@given(sizes=sizes, seed=seeds)
def test_lengths_equal_each_sequence_alone_whatever_the_padding_contains(cell, sizes, seed):
    arguments, upstream = draw(cell, *sizes, seed)
    T, B, *_ = sizes
    n = STATES[cell]
    lengths = np.random.default_rng(seed).integers(1, T + 1, B)
    past = np.arange(T)[:, None] >= lengths
    arguments[0][past] = upstream[0][past] = np.nan
    results, gradients = run(cell, arguments, upstream, lengths)
    assert not results[0][past].any()
    assert not gradients[0][past].any()

    totals = [np.zeros_like(p) for p in arguments[n + 1 :]]
    for b, L in enumerate(lengths):
        alone = [arguments[0][:L, b : b + 1], *(s[b : b + 1] for s in arguments[1 : n + 1]), *arguments[n + 1 :]]
        one, grads = run(cell, alone, [upstream[0][:L, b : b + 1], *(g[b : b + 1] for g in upstream[1:])])
        assert_close([results[0][:L, b : b + 1], *(s[b : b + 1] for s in results[1:])], one)
        assert_close([gradients[0][:L, b : b + 1], *(g[b : b + 1] for g in gradients[1 : n + 1])], grads[: n + 1])
        totals = [a + g for a, g in zip(totals, grads[n + 1 :], strict=True)]
    assert_close(gradients[n + 1 :], totals)


@every_cell
def test_a_consumed_cache_is_refused_and_a_kept_one_gives_the_same_bits(cell):
    arguments, upstream = draw(cell, 5, 3, 4, 6, seed=1)
    *_, cache = function(cell, "forward")(*arguments, **options(cell))
    backward = function(cell, "backward")
    first, second = (backward(*upstream, cache, keep_cache=keep) for keep in (True, False))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    with pytest.raises(RuntimeError, match=r"consumed by an earlier backward.*keep_cache=True"):
        backward(*upstream, cache)


@every_cell
def test_no_upstream_means_zero(cell):
    arguments, upstream = draw(cell, 5, 3, 4, 6, seed=2)
    zeros = run(cell, arguments, [np.zeros_like(g) for g in upstream])[1]
    nones = run(cell, arguments, [None] * len(upstream))[1]
    assert not any(g.any() for g in (*zeros, *nones))


@every_cell
def test_overflow_infinity_and_nan_pass_without_a_warning(cell):
    arguments, upstream = draw(cell, 4, 3, 4, 6, seed=3, dtype=np.float32)
    arguments[0][0, 0] = 1e38
    arguments[0][1, 1] = np.inf
    arguments[0][2, 2] = np.nan
    (out, *_), _ = run(cell, arguments, upstream)
    assert np.isnan(out[2:, 2]).all()
    assert np.isfinite(out[:2, 2]).all()


FLOATS = {  # per step and row: kept by the forward pass, and added by the backward pass, as in the module's docstring
    "rnn-tanh": lambda I, H: (H, H + I),
    "rnn-relu": lambda I, H: (H, H + I),
    "lstm": lambda I, H: (6 * H, I),
    "gru": lambda I, H: (5 * H, I),
}


@every_cell
def test_a_training_step_takes_the_memory_that_is_stated(cell):
    T, B, I, H = 100, 20, 48, 32
    arguments, upstream = draw(cell, T, B, I, H, seed=4, dtype=np.float32)
    run(cell, arguments, upstream)
    tracemalloc.start()
    *results, cache = function(cell, "forward")(*arguments, **options(cell))
    kept = tracemalloc.get_traced_memory()[0]
    gradients = function(cell, "backward")(*upstream, cache)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(results) + len(gradients) > 0
    weights = 4 * sum(a.size for a in arguments[STATES[cell] + 1 :])
    per_step = 4 * B * 16 * H  # initial states, scratch, final states: some arrays of (B, H) to (B, 4H)
    forward, backward = (4 * T * B * n for n in FLOATS[cell](I, H))
    assert forward <= kept <= forward + weights + per_step
    assert forward + backward <= peak <= forward + backward + 3 * weights + per_step


@every_cell
def test_inference_keeps_nothing_but_its_results(cell):
    T, B, I, H = 100, 20, 48, 32
    arguments, _ = draw(cell, T, B, I, H, seed=5, dtype=np.float32)
    tracemalloc.start()
    results = function(cell, "inference")(*arguments, **options(cell))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    projection = 0 if cell.startswith("rnn") else 4 * T * B * len(VARIANTS[cell].cell.gates) * H
    weights = 4 * sum(a.size for a in arguments[STATES[cell] + 1 :])
    assert kept <= sum(a.nbytes for a in results) + 4 * B * 2 * H
    assert peak <= projection + 4 * T * B * H + 3 * weights + 4 * B * 16 * H


def test_accepts_names_what_it_can_compute():
    single, double = np.zeros(2, np.float32), np.zeros(2, np.float64)
    assert KERNELS.accepts(single, single)
    assert KERNELS.accepts(double)
    assert not KERNELS.accepts(single, double)
    assert not KERNELS.accepts(np.zeros(2, np.complex128))
    assert not KERNELS.accepts(np.zeros(2, np.int64))
    assert not KERNELS.accepts([1.0, 2.0])


def test_an_unknown_nonlinearity_is_named():
    arguments, _ = draw("rnn-tanh", 2, 3, 4, 5, seed=6)
    with pytest.raises(ValueError, match="'sine', expected one of 'tanh', 'relu'"):
        KERNELS.rnn.forward(*arguments, nonlinearity="sine")


@pytest.mark.parametrize("name", ["numpy", "loops", "fused", "numba"])
def test_an_initial_state_in_fortran_order_gives_the_same_results(name):
    """Inference updates a copy of c0 in place, and compiled gates need its rows contiguous."""
    if minirnn_kernels.available()[name]:
        pytest.skip(minirnn_kernels.available()[name])
    T, B, I, H = 4, 3, 2, 5
    rng = np.random.default_rng(0)
    x, h0, c0, *weights = (
        rng.standard_normal(s) for s in [(T, B, I), (B, H), (B, H), (4 * H, I), (4 * H, H), (4 * H,)]
    )
    inference = minirnn_kernels.get(name).lstm.inference
    for a, b in zip(inference(x, h0, c0, *weights), inference(x, h0, np.asfortranarray(c0), *weights), strict=True):
        np.testing.assert_array_equal(a, b)
