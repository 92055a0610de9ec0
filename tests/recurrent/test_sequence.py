"""recurrent/sequence.py: the fused layer against the unrolled loop, to second order; properties of all layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn import Tensor, grad, nn, no_grad
from minirnn.recurrent.sequence import layer, reverse, run, step_weights, unroll
from minirnn.recurrent.state import detach
from minirnn_kernels.cell import CELLS

pytestmark = pytest.mark.usefixtures("record")

KINDS = tuple(CELLS)
STATES = {name: len(cell.states) for name, cell in CELLS.items()}
CLOSE = {"rtol": 1e-10, "atol": 1e-12}  # float64, two orders of the same sums


@st.composite
def sizes(draw):
    """T, B, I, H, all different, so that every transposition is detected."""
    return tuple(draw(st.lists(st.integers(1, 6), min_size=4, max_size=4, unique=True)))


def arrays(kind, T, B, I, H, seed, scale=0.8):
    """Return x, the states, W_ih, W_hh, b_ih, b_hh and any weights per unit, and the generator."""
    rng = np.random.default_rng(seed)
    shapes = [(T, B, I), *[(B, H)] * STATES[kind], *CELLS[kind].parameters(I, H).values()]
    return [rng.uniform(-scale, scale, shape) for shape in shapes], rng


def outputs(kind, leaves, lengths=None, **options):
    n = STATES[kind]
    out, final = layer(kind, leaves[0], leaves[1 : 1 + n], leaves[1 + n :], lengths, **options)
    return [out, *final]


def unrolled(kind, leaves, lengths=None, **options):
    n = STATES[kind]
    weights = step_weights(kind, *leaves[1 + n :])
    return list(unroll(kind, *leaves[: 1 + n], *weights, lengths=lengths, **options))


def all_gradients(function, values, upstream):
    leaves = [Tensor(v, requires_grad=True) for v in values]
    return grad(function(leaves), leaves, upstream)


@pytest.mark.parametrize("kind", KINDS)
@given(shape=sizes(), seed=st.integers(0, 99), ragged=st.booleans(), relu=st.booleans())
def test_backward_by_hand_equals_autograd_of_the_unrolled(kind, shape, seed, ragged, relu):
    values, rng = arrays(kind, *shape, seed)
    T, B, _, H = shape
    lengths = rng.integers(1, T + 1, B) if ragged else None
    options = {"nonlinearity": "relu"} if relu and kind == "rnn" else {}
    upstream = [rng.standard_normal((T, B, H)), *(rng.standard_normal((B, H)) for _ in range(STATES[kind]))]
    by_hand = all_gradients(lambda v: outputs(kind, v, lengths, **options), values, upstream)
    derived = all_gradients(lambda v: unrolled(kind, v, lengths, **options), values, upstream)
    for a, b in zip(by_hand, derived, strict=True):
        np.testing.assert_allclose(a.data, b.data, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, np.array([3, 1])])
def test_second_order_through_the_fused_layer(kind, lengths):
    """Compare gradients of a weighted sum of all first gradients: fused, composed, and by finite differences."""
    values, rng = arrays(kind, 3, 2, 4, 5, 11)
    upstream = [rng.standard_normal((3, 2, 5)), *(rng.standard_normal((2, 5)) for _ in range(STATES[kind]))]
    weights = [rng.standard_normal(v.shape) for v in values]

    def weighted_first(function, values, create_graph):
        leaves = [Tensor(v, requires_grad=True) for v in values]
        first = grad(function(leaves), leaves, upstream, create_graph=create_graph)
        return leaves, sum((np.multiply(g, w).sum() for g, w in zip(first, weights, strict=True)), Tensor(np.zeros(())))

    second = []
    for function in (lambda v: outputs(kind, v, lengths), lambda v: unrolled(kind, v, lengths)):
        leaves, total = weighted_first(function, values, True)
        second.append(grad(total, leaves))
    for a, b in zip(*second, strict=True):
        np.testing.assert_allclose(a.data, b.data, **CLOSE)
        assert np.any(a.data != 0)
    direction = [rng.standard_normal(v.shape) for v in values]
    eps = 1e-6
    ends = [
        weighted_first(
            lambda v: outputs(kind, v, lengths),
            [v + s * eps * d for v, d in zip(values, direction, strict=True)],
            False,
        )[1].item()
        for s in (1, -1)
    ]
    inner = sum(np.sum(g.data * d) for g, d in zip(second[0], direction, strict=True))
    np.testing.assert_allclose((ends[0] - ends[1]) / (2 * eps), inner, rtol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_without_an_upstream_count_as_zero(kind):
    values, rng = arrays(kind, 4, 2, 3, 5, 2)
    n = STATES[kind]
    for used in range(1 + n):
        upstream = rng.standard_normal((4, 2, 5) if used == 0 else (2, 5))
        zeros = [np.zeros((4, 2, 5)), *[np.zeros((2, 5))] * n]
        zeros[used] = upstream
        alone = all_gradients(lambda v, used=used: [outputs(kind, v)[used]], values, [upstream])
        whole = all_gradients(lambda v: outputs(kind, v), values, zeros)
        for a, b in zip(alone, whole, strict=True):
            np.testing.assert_allclose(a.data, b.data, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@given(shape=sizes(), seed=st.integers(0, 99))
def test_linear_in_the_upstream(kind, shape, seed):
    values, rng = arrays(kind, *shape, seed)
    T, B, _, H = shape
    u, v = ([rng.standard_normal((T, B, H)), *(rng.standard_normal((B, H)) for _ in range(STATES[kind]))] for _ in "uv")
    both = all_gradients(lambda a: outputs(kind, a), values, [2 * p - 3 * q for p, q in zip(u, v, strict=True)])
    one, other = (all_gradients(lambda a: outputs(kind, a), values, w) for w in (u, v))
    for a, b, c in zip(both, one, other, strict=True):
        np.testing.assert_allclose(a.data, 2 * b.data - 3 * c.data, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@given(shape=sizes(), seed=st.integers(0, 99))
def test_a_permuted_batch_gives_permuted_results(kind, shape, seed):
    values, rng = arrays(kind, *shape, seed)
    T, B, _, _ = shape
    order, lengths = rng.permutation(B), rng.integers(1, T + 1, B)
    permuted = [values[0][:, order], *(s[order] for s in values[1 : 1 + STATES[kind]]), *values[1 + STATES[kind] :]]
    with no_grad():
        out, *final = outputs(kind, [Tensor(v) for v in values], lengths)
        out_p, *final_p = outputs(kind, [Tensor(v) for v in permuted], lengths[order])
    np.testing.assert_allclose(out_p.data, out.data[:, order], **CLOSE)
    for s, s_p in zip(final, final_p, strict=True):
        np.testing.assert_allclose(s_p.data, s.data[order], **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@given(shape=sizes(), seed=st.integers(0, 99))
def test_permuted_hidden_units_give_permuted_states(kind, shape, seed):
    """The same permutation in every gate's block of rows, and in the columns of W_hh."""
    values, rng = arrays(kind, *shape, seed)
    n, H = STATES[kind], shape[3]
    p = rng.permutation(H)
    rows = np.concatenate([p + k * H for k in range(len(CELLS[kind].gates))])
    x, states, (W_ih, W_hh, b_ih, b_hh) = values[0], values[1 : 1 + n], values[1 + n :]
    permuted = [x, *(s[:, p] for s in states), W_ih[rows], W_hh[rows][:, p], b_ih[rows], b_hh[rows]]
    with no_grad():
        plain, turned = (outputs(kind, [Tensor(v) for v in vs]) for vs in (values, permuted))
    for a, b in zip(plain, turned, strict=True):
        np.testing.assert_allclose(b.data, a.data[..., p], **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@given(shape=sizes(), seed=st.integers(0, 99), where=st.floats(0, 1))
def test_splitting_time_with_carried_state_changes_nothing(kind, shape, seed, where):
    values, rng = arrays(kind, shape[0] + 1, *shape[1:], seed)
    T, B, H = shape[0] + 1, shape[1], shape[3]
    n, cut = STATES[kind], 1 + int(where * (T - 2))
    upstream = [rng.standard_normal((T, B, H)), *(rng.standard_normal((B, H)) for _ in range(n))]

    def in_two(v):
        first, *carried = outputs(kind, [v[0][:cut], *v[1:]])
        second, *final = outputs(kind, [v[0][cut:], *carried, *v[1 + n :]])
        return [np.concatenate([first, second]), *final]

    whole = all_gradients(lambda v: outputs(kind, v), values, upstream)
    parts = all_gradients(in_two, values, upstream)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a.data, b.data, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_truncation_is_the_gradient_with_the_cut_states_frozen(kind):
    """With detach between two chunks, the gradient is that of the second chunk with a fixed initial state."""
    values, rng = arrays(kind, 6, 2, 3, 4, 5)
    n = STATES[kind]
    u = rng.standard_normal((3, 2, 4))
    with no_grad():
        _, *frozen = outputs(kind, [Tensor(values[0][:3]), *map(Tensor, values[1:])])
    leaves = [Tensor(v, requires_grad=True) for v in values]
    _, *carried = outputs(kind, [leaves[0][:3], *leaves[1:]])
    second, *_ = outputs(kind, [leaves[0][3:], *detach(tuple(carried)), *leaves[1 + n :]])
    truncated = grad((second * u).sum(), leaves[1 + n :])

    def loss(weights):
        out, *_ = outputs(kind, [Tensor(values[0][3:]), *frozen, *map(Tensor, weights)])
        return float(np.sum(out.data * u))

    direction = [rng.standard_normal(v.shape) for v in values[1 + n :]]
    with no_grad():
        up, down = (loss([v + s * 1e-6 * d for v, d in zip(values[1 + n :], direction, strict=True)]) for s in (1, -1))
    inner = sum(np.sum(g.data * d) for g, d in zip(truncated, direction, strict=True))
    np.testing.assert_allclose((up - down) / 2e-6, inner, rtol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_affects_nothing(kind):
    """out has exact zeros, and values in the padding, even NaN, affect no result and no gradient."""
    T, B = 5, 3
    values, rng = arrays(kind, T, B, 2, 4, 8)
    lengths = np.array([2, 5, 1])
    padding = np.arange(T)[:, None] >= lengths
    upstream = [rng.standard_normal((T, B, 4)), *(rng.standard_normal((B, 4)) for _ in range(STATES[kind]))]
    clean, dirty = ([v.copy() for v in values] for _ in range(2))
    clean[0][padding], dirty[0][padding] = 0, np.nan
    results = []
    for v in (clean, dirty):
        leaves = [Tensor(a, requires_grad=True) for a in v]
        made = outputs(kind, leaves, lengths)
        results.append([*made, *grad(made, leaves, upstream)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert not results[0][0].data[padding].any()
    assert not results[0][1 + STATES[kind]].data[padding].any()
    for b, length in enumerate(lengths):  # the state is that of the last real step
        np.testing.assert_array_equal(results[0][1].data[b], results[0][0].data[length - 1, b])


def test_reverse_is_its_own_inverse_and_keeps_padding_in_place():
    x = np.arange(10.0).reshape(5, 2)[..., None]
    np.testing.assert_array_equal(reverse(x)[:, 0, 0], [8, 6, 4, 2, 0])
    lengths = np.array([2, 5])
    turned = reverse(x, lengths)
    np.testing.assert_array_equal(turned[..., 0].T, [[2, 0, 4, 6, 8], [9, 7, 5, 3, 1]])
    np.testing.assert_array_equal(reverse(turned, lengths), x)
    t, u = Tensor(x, requires_grad=True), np.random.default_rng(0).standard_normal(x.shape)
    (reverse(t, lengths) * u).sum().backward()
    np.testing.assert_array_equal(t.grad, reverse(u, lengths))


def test_a_consumed_cache_raises_an_error():
    values, _ = arrays("lstm", 3, 2, 4, 5, 0)
    leaves = [Tensor(v, requires_grad=True) for v in values]
    out, *_ = outputs("lstm", leaves)
    loss = out.sum()
    loss.backward(retain_graph=True)
    first = [t.grad.copy() for t in leaves]
    loss.backward()
    for t, g in zip(leaves, first, strict=True):
        np.testing.assert_allclose(t.grad, 2 * g, rtol=1e-13)
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        loss.backward()


def test_separate_backward_passes_from_two_results_of_one_layer_need_retain_graph():
    values, _ = arrays("gru", 3, 2, 4, 5, 0)
    leaves = [Tensor(v, requires_grad=True) for v in values]
    out, h_n = outputs("gru", leaves)
    out.sum().backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        h_n.sum().backward()


def test_weights_changed_in_place_after_the_forward_pass_are_noticed():
    lstm = nn.LSTM(3, 4)
    out, _ = lstm(np.ones((2, 1, 3), np.float32))
    lstm.weight_hh_l0.data += 1
    lstm.weight_hh_l0.bump_version()
    with pytest.raises(RuntimeError, match=r"lstm layer .* changed in place"):
        out.sum().backward()


def test_run_stacks_layers_and_directions():
    """Two bidirectional layers equal their composition from single layers."""
    rng = np.random.default_rng(4)
    H, lengths = 3, np.array([4, 2])
    weights = [
        [tuple(Tensor(rng.uniform(-1, 1, s)) for s in ((H, n), (H, H), (H,), (H,))) for _ in "fb"] for n in (2, 2 * H)
    ]
    x, h0 = Tensor(rng.standard_normal((4, 2, 2))), Tensor(rng.standard_normal((4, 2, H)))
    out, (h_n,) = run("rnn", x, (h0,), weights, lengths)
    y, finals = x, []
    for i in range(2):
        forward, f = layer("rnn", y, (h0[2 * i],), weights[i][0], lengths)
        backward, b = layer("rnn", reverse(y, lengths), (h0[2 * i + 1],), weights[i][1], lengths)
        y = np.concatenate([forward, reverse(backward, lengths)], -1)
        finals += [f[0].data, b[0].data]
    np.testing.assert_array_equal(out.data, y.data)
    np.testing.assert_array_equal(h_n.data, np.stack(finals))


@pytest.mark.parametrize("kind", KINDS)
def test_nan_in_the_padding_reaches_no_second_gradient_either(kind):
    values, _ = arrays(kind, 4, 2, 3, 5, 1)
    lengths = np.array([2, 4])
    values[0][2:, 0] = np.nan
    leaves = [Tensor(v, requires_grad=True) for v in values]
    out, *_ = outputs(kind, leaves, lengths)
    first = grad((out * out).sum(), leaves[1:], create_graph=True)
    for g in grad(sum((f * f).sum() for f in first), leaves):
        assert np.isfinite(g.data).all()


def test_out_changed_in_place_before_the_backward_pass_is_noticed():
    values, _ = arrays("lstm", 3, 2, 4, 5, 0)
    out, *_ = outputs("lstm", [Tensor(v, requires_grad=True) for v in values])
    out.data *= 0
    out.bump_version()
    with pytest.raises(RuntimeError, match="changed in place"):
        out.sum().backward()
