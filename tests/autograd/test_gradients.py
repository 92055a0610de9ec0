"""`minirnn.grad`: inputs, outputs, weights, retain_graph, create_graph, errors, and ownership of the results."""

import numpy as np
import pytest

from minirnn import Tensor, grad, no_grad
from tests.autograd.counted import Counted


def tensor(*shape, seed=0, dtype=np.float64):
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(dtype), requires_grad=True)


def test_grad_adds_to_no_grad_attribute():
    a, b = tensor(3), tensor(3, seed=1)
    (g,) = grad((a * b).sum(), a)
    np.testing.assert_array_equal(g.data, b.data)
    assert not g.requires_grad
    assert a.grad is b.grad is None


def test_grad_of_interior_inputs_and_of_an_output_itself():
    t = tensor(3)
    u = np.sin(t)
    v = u * u
    gu, gt, gv = grad(v.sum(), [u, t, v])
    np.testing.assert_allclose(gu.data, 2 * u.data)
    np.testing.assert_allclose(gt.data, 2 * u.data * np.cos(t.data))
    assert gv.data.tolist() == [1, 1, 1]
    assert grad(t, t, np.ones(3))[0].data.tolist() == [1, 1, 1]
    w = np.array([1.0, 2.0, 3.0])
    assert grad(t * 1.0, t, w)[0].data.tolist() == [1, 2, 3]


def test_grad_of_several_outputs_is_summed():
    t = tensor(3)
    u = t * 2.0
    w = np.array([1.0, 2.0, 3.0])
    (g,) = grad([u, t, u, u.sum()], t, [w, w, w, None])
    assert g.data.tolist() == [2 + 5, 2 + 10, 2 + 15]


def test_grad_errors():
    a, b, c = tensor(3), tensor(3), Tensor(np.ones(3))
    with pytest.raises(RuntimeError, match=r"inputs\[1\].*do not depend"):
        grad((a * 2.0).sum(), [a, b])
    with pytest.raises(RuntimeError, match=r"inputs\[0\] does not require grad"):
        grad((a * c).sum(), c)
    with pytest.raises(RuntimeError, match="does not require grad"):
        grad(a.sum(), np.ones(3))
    with pytest.raises(RuntimeError, match="does not require grad"):
        grad(c.sum(), a)
    with pytest.raises(RuntimeError, match=r"grad_outputs\[0\].*\(3,\)"):
        grad(a * 2.0, a)
    with pytest.raises(ValueError, match=r"grad_outputs\[0\].*\(3,\).*\(2,\)"):
        grad(a * 2.0, a, np.ones(2))
    with pytest.raises(ValueError, match=r"grad_outputs.*expected 1.*got 2"):
        grad(a * 2.0, a, [np.ones(3), np.ones(3)])
    with pytest.raises(TypeError, match=r"float64.*float32"):
        grad(a * 2.0, a, np.ones(3, np.float32))
    with pytest.raises(TypeError, match=r"float64.*float32"):
        grad(a * 2.0, a, Tensor(np.ones(3, np.float32)))


def test_rules_that_lead_to_no_input_are_not_called():
    t, u = tensor(3), tensor(3, seed=1)
    with Counted(np.exp) as exp, Counted(np.multiply) as multiply:
        y = (np.exp(u) * np.tanh(t)).sum()
        grad(y, t)
    assert exp == {}
    assert multiply == {1: 1}


def test_create_graph_records_and_without_it_nothing_is_recorded():
    t = tensor(3)
    y = np.exp(t).sum()
    assert not grad(y, t, retain_graph=True)[0].requires_grad
    with no_grad():
        (g,) = grad(y, t, create_graph=True)
    assert g.requires_grad
    w = Tensor(np.array(2.0), requires_grad=True)
    (g,) = grad(y, t, w, create_graph=True)
    (h,) = grad(g.sum(), w)
    np.testing.assert_allclose(h.data, np.exp(t.data).sum())


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("retain", [None, False, True])
def test_retain_graph_of_grad_defaults_to_create_graph(create, retain):
    t = tensor(3)
    y = np.exp(t).sum()
    grad(y, t, retain_graph=retain, create_graph=create)
    if create if retain is None else retain:
        grad(y, t)
    else:
        with pytest.raises(RuntimeError, match="walked before"):
            grad(y, t)


def test_a_deep_graph_can_be_differentiated_twice():
    t = y = Tensor(np.array([1e-4]), requires_grad=True)
    for _ in range(2000):
        y = np.sin(y)
    (g,) = grad(y, t, create_graph=True)
    (h,) = grad(g, t)
    x, slope, bend = t.data, 1.0, 0.0
    for _ in range(2000):
        bend = bend * np.cos(x) - slope**2 * np.sin(x)
        slope, x = slope * np.cos(x), np.sin(x)
    np.testing.assert_allclose(g.data, slope, rtol=1e-10)
    np.testing.assert_allclose(h.data, bend, rtol=1e-9)


def test_results_of_grad_are_writable_and_their_own():
    a, b = tensor(3), tensor(3)
    upstream = np.ones(3)
    ga, gb = grad(a + b, [a, b], upstream)
    ga.data += 1
    assert gb.data.tolist() == upstream.tolist() == [1, 1, 1]
    (g,) = grad(a.sum(), a)
    g.data += 1


def test_the_gradient_of_an_interior_tensor_leaves_what_is_below_it_alone():
    x = tensor(3)
    h = np.tanh(x)
    (g,) = grad((h * h).sum(), h)
    h.backward(g)
    np.testing.assert_allclose(x.grad, 2 * h.data * (1 - h.data**2))
