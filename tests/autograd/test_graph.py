"""The walk: order, depth, memory, freed and stale graphs, ownership of gradients."""

import gc
import sys
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minirnn import Tensor, grad, no_grad
from minirnn.autograd.graph import RULES
from minirnn.autograd.tensor import apply_fused
from tests.autograd.counted import Counted
from tests.autograd.planted import _Rules, swapped


def tensor(*shape, seed=0, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(dtype), requires_grad=True)


# ------------------------------------------------------------------------------------------ order


def test_each_node_of_a_chain_of_diamonds_is_visited_once():
    t = y = tensor(3)
    with Counted(np.tanh) as calls:
        for _ in range(40):  # 2^40 paths
            a = np.tanh(y)
            y = (a + a * 1.0) * 0.5
        y.sum().backward()
    assert calls == {0: 40}
    x = t.data
    expected = np.ones(3)
    for _ in range(40):
        x = np.tanh(x)
        expected = expected * (1 - x * x)
    np.testing.assert_allclose(t.grad, expected, rtol=1e-12)


def test_a_result_used_early_and_late_waits_for_both_gradients():
    t = tensor(3)
    early = np.sin(t)
    late = early
    for _ in range(5):
        late = np.tanh(late)
    with Counted(np.sin) as calls:
        early2 = np.sin(t)
        (early2 * np.tanh(np.tanh(early2)) + early2).sum().backward()
    assert calls == {0: 1}
    t.grad = None
    (late * early).sum().backward()
    x = t.data + 1e-30j
    y = z = np.sin(x)
    for _ in range(5):
        z = np.tanh(z)
    np.testing.assert_allclose(t.grad, (z * y).imag / 1e-30, rtol=1e-12)


def test_gradients_accumulate_in_leaves_only():
    t = tensor(3)
    y = t * 2.0
    y.sum().backward()
    first = t.grad
    (t * 3.0).sum().backward()
    assert t.grad is first
    assert t.grad.tolist() == [5, 5, 5]
    assert y.grad is None


def test_backward_of_a_leaf_and_of_a_given_gradient():
    t = tensor(2)
    w = np.array([1.0, 2.0])
    t.backward(w)
    assert t.grad.tolist() == [1, 2]
    assert t.grad is not w
    t.backward(Tensor(w))
    assert t.grad.tolist() == [2, 4]
    t.sum().backward(2)
    assert t.grad.tolist() == [4, 6]
    t.sum().backward(np.float32(2))
    assert t.grad.tolist() == [6, 8]


# ------------------------------------------------------------------------------------------ depth


DEPTH = 100_000


@pytest.mark.parametrize("backward", [True, False])
def test_a_chain_of_100_000_nodes_is_walked_and_deleted_without_recursion(backward):
    def run():
        t = y = Tensor(np.ones(1), requires_grad=True)
        for _ in range(DEPTH):
            y = y + 1.0
        if backward:
            y.backward()
            assert t.grad.tolist() == [1]
        del y
        gc.collect()

    limit = sys.getrecursionlimit()
    size = threading.stack_size(2 * 1024 * 1024)  # deletion must not overflow the stack either
    sys.setrecursionlimit(500)
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(run).result()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)


# ------------------------------------------------------------------------------------------ memory


@pytest.mark.parametrize("how", ["backward", "grad"])
def test_interior_memory_is_freed_while_walking(how):
    """When the walk reaches the k-th of 100 results, the results after it have been freed."""
    size, length = 10_000, 100
    t = tensor(size)
    alive, results = [], []
    watched = lambda i, vjp: (
        lambda *args, **params: alive.append(sum(r() is not None for r in results)) or vjp(*args, **params)
    )
    with swapped(RULES, {np.tanh: _Rules(RULES[np.tanh], watched)}):
        y = t
        for _ in range(length):
            y = np.tanh(y)
            results.append(weakref.ref(y.data))
        y = y.sum()
        if how == "backward":
            y.backward()
        else:
            grad(y, t)
    assert alive == list(range(length, 0, -1))


def test_peak_of_a_backward_pass_is_a_few_gradients():
    size, length = 50_000, 40
    t = tensor(size)
    tracemalloc.start()
    try:
        y = t
        for _ in range(length):
            y = np.tanh(y)
        y = y.sum()
        forward = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        y.backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - forward < 6 * size * 8  # there are 40 gradients


def test_results_die_with_their_tensors_without_the_garbage_collector():
    gc.disable()
    try:
        t = tensor(3)
        y = np.tanh(t) * t
        data = weakref.ref(y.data)
        z = y.sum()
        del y
        assert data() is None or z is not None
        z.backward()
        assert data() is None
        z = (np.tanh(t) * t).sum()
        data = weakref.ref(z.data)
        del z
        assert data() is None
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------------ freed and stale graphs


def test_a_freed_graph_raises_a_retained_one_can_be_walked_again():
    t = tensor(3)
    y = np.exp(t).sum()
    y.backward(retain_graph=True)
    once = t.grad.copy()
    y.backward()
    np.testing.assert_array_equal(t.grad, 2 * once)
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        grad(y, t)
    np.testing.assert_array_equal(t.grad, 2 * once)


def test_a_graph_that_shares_a_freed_part_raises():
    t = tensor(3)
    shared = np.exp(t)
    a, b = shared.sum(), (shared * shared).sum()
    a.backward()
    with pytest.raises(RuntimeError, match="walked before"):
        b.backward()
    np.testing.assert_array_equal(t.grad, np.exp(t.data))


def test_a_stale_parameter_raises_and_names_the_operation():
    w, x = tensor(3), tensor(3, seed=1)
    y = np.tanh(w * x).sum()
    w.data -= 0.1
    w.bump_version()
    with pytest.raises(RuntimeError, match=r"multiply.*changed in place"):
        y.backward()
    with pytest.raises(RuntimeError, match="changed in place"):
        grad(y, x)
    assert w.grad is None
    np.tanh(w * x).sum().backward()
    assert w.grad is not None


class Sum:
    """The fused operation a + b."""

    name = "pair"

    def backward(self, grads, *, keep):
        return [grads[0]] * 2

    def composed(self, a, b):
        return (a + b,)


def test_a_graph_made_after_a_change_in_place_can_be_walked():
    a, b = tensor(3), tensor(3)
    for _ in range(3):
        a.bump_version()
        b.bump_version()
    (c,) = apply_fused(Sum(), (a, b), (a.data + b.data,))
    (np.concatenate([a * b, -a, b[:2], c]) @ np.arange(11.0)).backward()
    assert a.grad is not None


def test_a_stale_argument_of_a_fused_node_raises():
    a, b = tensor(3), tensor(3)
    (y,) = apply_fused(Sum(), (a, b), (a.data + b.data,))
    b.bump_version()
    with pytest.raises(RuntimeError, match=r"pair.*changed in place"):
        y.sum().backward()


# ------------------------------------------------------------------------------------------ ownership


def test_gradients_are_each_leafs_own():
    a, b = tensor(3), tensor(3)
    upstream = np.ones(3)
    (a + b).backward(upstream)
    assert not np.shares_memory(a.grad, b.grad)
    a.grad += 1
    assert b.grad.tolist() == upstream.tolist() == [1, 1, 1]
    for f in (
        lambda t: t.sum(),
        lambda t: t.T.sum(0)[1],
        lambda t: np.broadcast_to(t, (2, 4, 3)).sum(),
        lambda t: t[::-1][0, 0],
    ):
        t = tensor(4, 3)
        f(t).backward()
        assert t.grad.flags.writeable
        assert t.grad.flags.c_contiguous
        assert t.grad.base is None
        t.grad *= 0.5


def test_accumulation_inside_the_graph_is_never_in_place():
    a, b, c = tensor(3), tensor(3), tensor(3)
    y = a * 1.0
    z = y + b
    upstream = np.ones(3)
    (z + y + (y + c)).backward(upstream)  # the first gradient of y is the same array that b and c receive
    assert a.grad.tolist() == [3, 3, 3]
    assert b.grad.tolist() == c.grad.tolist() == upstream.tolist() == [1, 1, 1]


def test_retain_grad_keeps_the_gradient_of_an_interior_tensor():
    t = tensor(3)
    y = t * 2.0
    y.retain_grad()
    (y * y).sum().backward()
    np.testing.assert_allclose(y.grad, 2 * y.data)
    assert not np.shares_memory(y.grad, t.grad)
    root = (t * 1.0).sum()
    root.retain_grad()
    root.backward()
    assert root.grad == 1
    with pytest.raises(RuntimeError, match="requires grad"):
        Tensor(np.ones(3)).retain_grad()


def test_a_constant_or_a_result_changed_in_place_is_noticed_too():
    w, x = tensor(2), tensor(2)
    constant = Tensor(np.array([3.0, 4.0]))
    product = (w * constant).sum()
    constant.data[...] = 0
    constant.bump_version()
    y = np.tanh(x)
    y.data[...] = 0
    y.bump_version()
    for changed, name in ((product, "multiply"), (y.sum(), "tanh")):
        with pytest.raises(RuntimeError, match=f"result of {name} was changed in place"):
            changed.backward()


def test_a_reused_buffer_of_indices_does_not_change_a_graph():
    x, ids = tensor(4), np.array([0, 1])
    picked, rows = x[ids], np.take(x, ids)
    ids[:] = [2, 3]
    (picked.sum() + rows.sum()).backward()
    np.testing.assert_array_equal(x.grad, [2, 2, 0, 0])


def test_backward_errors():
    t = tensor(3)
    with pytest.raises(RuntimeError, match=r"grad is needed.*\(3,\)"):
        t.backward()
    with pytest.raises(ValueError, match=r"grad: expected.*\(3,\).*\(1, 3\)"):
        (t * 1.0).backward(np.ones((1, 3)))
    with pytest.raises(RuntimeError, match="does not require grad"):
        Tensor(np.ones(())).backward()
    with no_grad():
        y = (t * 2.0).sum()
    with pytest.raises(RuntimeError, match="no_grad"):
        y.backward()


def test_rules_of_constants_are_not_called():
    t = tensor(3)
    with Counted(np.power) as power:
        (t ** Tensor(np.array([2.0, 3.0, 0.5])) * 0.0 + t**3.0).sum().backward(retain_graph=True)
    assert set(power) == {0}
