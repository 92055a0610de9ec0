"""Gradient clipping: by hand, compared with PyTorch, extreme and non-finite norms, and errors."""

import math

import numpy as np
import pytest

from minirnn import nn, optim

PARAMETERS = [nn.Parameter(np.ones(2))]


def clipped(values, **options):
    """Return the result of clip_grad_norm_ and the clipped gradients."""
    params = [nn.Parameter(np.zeros(np.shape(v))) for v in values]
    for p, v in zip(params, values, strict=True):
        p.grad = np.array(v, float)
    return optim.clip_grad_norm_(params, **options), [p.grad for p in params]


def test_clipping_by_norm_keeps_the_direction():
    norm, (a, b) = clipped([[3.0], [0.0, 4.0]], max_norm=1.0)
    assert norm == 5.0
    np.testing.assert_allclose(a, [0.6], rtol=1e-6)
    np.testing.assert_allclose(b, [0, 0.8], rtol=1e-6)


def test_clipping_by_norm_leaves_small_gradients_alone():
    norm, (a, b) = clipped([[3.0], [0.0, 4.0]], max_norm=5.1)
    assert norm == 5.0
    np.testing.assert_array_equal(a, [3])
    np.testing.assert_array_equal(b, [0, 4])


def test_clipping_by_value_cuts_each_entry():
    p = nn.Parameter(np.zeros(4))
    p.grad = np.array([-9.0, 4.0, np.nan, np.inf])
    optim.clip_grad_value_([p, nn.Parameter(np.zeros(1))], 5.0)
    np.testing.assert_array_equal(p.grad, [-5, 4, np.nan, 5])


def test_clipping_counts_a_shared_parameter_once():
    p = nn.Parameter(np.zeros(2))
    p.grad = np.array([3.0, 4.0])
    assert optim.clip_grad_norm_([p, p], 1.0) == 5.0
    np.testing.assert_allclose(np.linalg.norm(p.grad), 1, rtol=1e-6)
    assert optim.clip_grad_norm_(p, 10.0) < 1.01
    assert optim.clip_grad_norm_([nn.Parameter(np.zeros(2))], 1.0) == 0.0


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1.0, 1e25, 1e37])
def test_the_norm_of_float32_neither_overflows_nor_vanishes(scale):
    p = nn.Parameter(np.zeros(2, np.float32))
    p.grad = np.array([3, 4], np.float32) * np.float32(scale)
    np.testing.assert_allclose(optim.clip_grad_norm_([p], math.inf), 5 * scale, rtol=1e-6)
    assert p.grad.dtype == np.float32


def test_non_finite_norms_show_in_every_gradient():
    for bad in ([1.0, np.nan], [np.inf, np.nan]):
        norm, gradients = clipped([bad, [2.0], [np.inf]], max_norm=1.0)
        assert math.isnan(norm)
        assert all(np.isnan(g).all() for g in gradients)
    norm, gradients = clipped([[1.0, -np.inf], [2.0]], max_norm=1.0)
    assert norm == math.inf
    np.testing.assert_array_equal(gradients[0], [0, np.nan])
    np.testing.assert_array_equal(gradients[1], [0])


def test_non_finite_norms_can_be_an_error():
    for value in (np.nan, np.inf):
        with pytest.raises(FloatingPointError, match="the norm of the gradients is"):
            clipped([[1.0, value]], max_norm=1.0, error_if_nonfinite=True)


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 5.0, math.inf])
@pytest.mark.parametrize(
    "values",
    [
        [[3.0], [0.0, 4.0]],
        [[0.0], [0.0]],
        [[1.0, np.nan], [2.0]],
        [[1.0, np.inf], [2.0]],
        [[-np.inf], [np.nan, 1.0]],
        [np.zeros((0, 2)), [1.0]],
    ],
)
def test_clipping_equals_torch(values, max_norm):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    norm, gradients = clipped(values, max_norm=max_norm)
    theirs = [torch.zeros(np.shape(v), dtype=torch.float64, requires_grad=True) for v in values]
    for q, v in zip(theirs, values, strict=True):
        q.grad = torch.tensor(np.array(v, float))
    np.testing.assert_allclose(norm, torch.nn.utils.clip_grad_norm_(theirs, max_norm).item(), rtol=1e-12, atol=1e-14)
    for g, q in zip(gradients, theirs, strict=True):
        np.testing.assert_allclose(g, q.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_clipping_refuses():
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match="max_norm: expected a number >= 0"):
            optim.clip_grad_norm_(PARAMETERS, bad)
        with pytest.raises(ValueError, match="value: expected a number >= 0"):
            optim.clip_grad_value_(PARAMETERS, bad)
    with pytest.raises(TypeError, match=r"params\[0\]: expected a Tensor"):
        optim.clip_grad_norm_([np.ones(2)], 1.0)
