"""Fused operations: several outputs, a hand-written backward pass, and gradients of gradients."""

import numpy as np
import pytest

from minirnn import Tensor, grad, no_grad
from minirnn.autograd.tensor import apply_fused


def tensor(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


class Halves:
    """Two outputs, a * b and a + c, with a hand-written backward pass that consumes its cache."""

    name = "halves"

    def __init__(self, a, b, c):
        self.a, self.b, self.cache = a, b, True
        self.calls = []

    def backward(self, grads, *, keep):
        assert self.cache, "the cache was consumed"
        self.cache = keep
        self.calls.append([g is not None for g in grads])
        product, total = (0.0 if g is None else g for g in grads)
        return product * self.b + total, product * self.a, total + 0 * self.a

    def composed(self, a, b, c):
        return a * b, a + c


def halves(*ts):
    a, b, c = (t.data for t in ts)
    fused = Halves(a, b, c)
    return fused, apply_fused(fused, ts, (a * b, a + c))


def test_a_fused_node_gets_none_for_an_output_without_a_gradient():
    a, b, c = tensor(3), tensor(3, seed=1), tensor(3, seed=2)
    fused, (product, total) = halves(a, b, c)
    product.sum().backward(retain_graph=True)
    assert fused.calls == [[True, False]]
    np.testing.assert_array_equal(a.grad, b.data)
    total.sum().backward(retain_graph=True)
    (product * total).sum().backward()
    assert fused.calls == [[True, False], [False, True], [True, True]]


def test_a_fused_node_is_walked_once_for_all_its_outputs():
    a, b, c = tensor(3), tensor(3, seed=1), tensor(3, seed=2)
    fused, (product, total) = halves(a, b, c)
    (product * total + product.sum() - total * total).sum().backward()
    assert fused.calls == [[True, True]]
    x, y, z = (Tensor(t.data, requires_grad=True) for t in (a, b, c))
    product, total = x * y, x + z
    (product * total + product.sum() - total * total).sum().backward()
    for t, u in ((a, x), (b, y), (c, z)):
        np.testing.assert_allclose(t.grad, u.grad, rtol=1e-14)


def test_a_fused_node_with_a_consumed_cache_says_that_the_graph_is_freed():
    a, b, c = tensor(3), tensor(3, seed=1), tensor(3, seed=2)
    fused, (product, total) = halves(a, b, c)
    product.sum().backward()
    assert not fused.cache
    with pytest.raises(RuntimeError, match="retain_graph"):
        total.sum().backward()
    assert len(fused.calls) == 1


def test_a_fused_node_keeps_its_cache_under_retain_graph():
    a, b, c = tensor(3), tensor(3, seed=1), tensor(3, seed=2)
    fused, (product, _) = halves(a, b, c)
    loss = product.sum()
    loss.backward(retain_graph=True)
    assert fused.cache
    once = a.grad.copy()
    loss.backward()
    np.testing.assert_array_equal(a.grad, 2 * once)


@pytest.mark.parametrize("together", ["apart", "one in two places", "one made from another"])
def test_second_derivatives_go_through_the_composed_operations(together):
    """The walk over the composed operations stops at the node's arguments."""

    def arguments(p, q):
        if together == "one in two places":
            return p, p, q
        if together == "one made from another":
            return p, np.sin(p) * q, q
        return p, q, np.tanh(q)

    def value(use):
        p, q = tensor(3), tensor(3, seed=1)
        product, total = use(*arguments(p * 1.0, q * 1.0))
        y = (product * np.exp(total) + product**2).sum()
        gs = grad(y, [p, q], create_graph=True)
        seconds = grad(sum((g * g).sum() for g in gs), [p, q], create_graph=True)
        thirds = grad(sum((g * g).sum() for g in seconds), [p, q])
        return [g.data for g in (*gs, *seconds, *thirds)]

    fused = value(lambda a, b, c: halves(a, b, c)[1])
    composed = value(lambda a, b, c: (a * b, a + c))
    for x, y in zip(fused, composed, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


def test_a_fused_node_that_leads_to_no_input_is_not_called():
    a, b, c = tensor(3), tensor(3, seed=1), tensor(3, seed=2)
    other = tensor(3)
    fused, (product, _) = halves(a, b, c)
    grad((product * other).sum(), other)
    assert fused.calls == []


def test_a_fused_node_of_constants_records_nothing():
    a = Tensor(np.ones(3))
    _, (product, _) = halves(a, a, a)
    assert not product.requires_grad
    p = tensor(3)
    with no_grad():
        _, (product, _) = halves(p, p, p)
    assert product.is_leaf
