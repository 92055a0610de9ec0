"""Attention: the equations as loops, gradients by the check, masks, and errors."""

import numpy as np
import pytest

from minirnn import Tensor, nn, random
from minirnn.gradcheck import check

B, Q, K, D, M = 2, 3, 5, 4, 6


def make(kind):
    random.manual_seed(0)
    if kind == "dot":
        return nn.DotAttention(D, M, dtype=np.float64)
    return nn.AdditiveAttention(D, M, 7, dtype=np.float64)


@pytest.fixture
def given():
    rng = np.random.default_rng(1)
    mask = rng.random((B, Q, K)) < 0.6
    mask[:, :, 0] = True
    return rng.standard_normal((B, Q, D)), rng.standard_normal((B, K, M)), mask, rng.standard_normal((B, Q, K))


def score(attention, q, m):
    """Return the score from the equations in the docstrings, for one query and one element of the memory."""
    if isinstance(attention, nn.DotAttention):
        return (attention.project.weight.data @ q) @ m
    inner = attention.of_query.weight.data @ q + attention.of_memory.weight.data @ m + attention.of_memory.bias.data
    return attention.weight.data @ np.tanh(inner)


@pytest.mark.parametrize("kind", ["dot", "additive"])
def test_weights_and_context_are_those_of_the_equations(kind, given):
    attention = make(kind)
    query, memory, mask, bias = given
    context, weights = attention(Tensor(query), Tensor(memory), mask, bias)
    for b in range(B):
        for q in range(Q):
            seen = [k for k in range(K) if mask[b, q, k]]
            e = np.exp([score(attention, query[b, q], memory[b, k]) + bias[b, q, k] for k in seen])
            expected = np.zeros(K)
            expected[seen] = e / e.sum()
            np.testing.assert_allclose(weights.data[b, q], expected, rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose(context.data[b, q], expected @ memory[b], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["dot", "additive"])
def test_gradients_into_query_memory_bias_and_parameters(kind, given):
    attention = make(kind)
    query, memory, mask, bias = given
    tensors = [Tensor(a, requires_grad=True) for a in (query, memory, bias)]

    def forward(q, m, b, *parameters):
        return attention(q, m, mask, b)[0]

    report = check(forward, inputs=[*tensors, *attention.parameters()])
    assert report, str(report)


def test_what_is_masked_gets_no_weight_and_no_gradient(given):
    attention = make("dot")
    query, memory, mask, bias = given
    mask[:, :, 2] = False
    m = Tensor(memory, requires_grad=True)
    context, weights = attention(Tensor(query), m, mask, bias)
    assert not weights.data[:, :, 2].any()
    (context * np.arange(1.0, M + 1)).sum().backward()
    assert not m.grad[:, 2].any()
    assert m.grad[:, 0].any()


def test_a_query_with_everything_masked_is_named(given):
    query, memory, mask, bias = given
    mask[1, 2] = False
    with pytest.raises(
        ValueError, match=r"mask: expected at least one True for each query, got none for the query at \(1, 2\)"
    ):
        make("dot")(Tensor(query), Tensor(memory), mask, bias)


def test_shapes_that_do_not_fit_are_named(given):
    attention = make("dot")
    query, memory, mask, bias = given
    with pytest.raises(ValueError, match=r"mask: expected shape \(2, 3, 5\), got \(2, 5\)"):
        attention(Tensor(query), Tensor(memory), mask[:, 0])
    with pytest.raises(ValueError, match=r"bias: expected shape \(2, 3, 5\), got \(2, 3, 4\)"):
        attention(Tensor(query), Tensor(memory), mask, bias[:, :, 1:])
    with pytest.raises(
        ValueError, match=r"expected query \(B, Q, D\) and memory \(B, K, M\), got \(2, 3, 4\) and \(1, 5, 6\)"
    ):
        attention(Tensor(query), Tensor(memory[:1]))
