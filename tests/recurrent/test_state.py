"""recurrent/state.py: conversion between the forms of a state, and truncation."""

import numpy as np
import pytest

import minirnn
from minirnn import Tensor, nn
from minirnn.recurrent.state import detach, from_arrays, from_parts, parts, step_states, to_arrays


def test_detach_keeps_values_and_shape():
    h = Tensor(np.ones(3), requires_grad=True) * 2
    assert detach(None) is None
    assert not detach(h).requires_grad
    assert [d.requires_grad for d in detach((h, h))] == [False, False]
    np.testing.assert_array_equal(detach(h).data, h.data)


def test_detach_is_public():
    assert minirnn.detach is nn.detach is detach


@pytest.mark.parametrize("layers", nn.LAYERS.values())
def test_a_state_converts_to_arrays_and_back(layers):
    module, x = layers(2, 3, num_layers=2), np.ones((4, 1, 2), np.float32)
    _, state = module(x)
    arrays = to_arrays(state)
    assert all(a is part.data for a, part in zip(arrays, parts(state), strict=True))
    assert type(from_parts(parts(state))) is type(state)
    np.testing.assert_array_equal(module(x, from_arrays(arrays))[0].data, module(x, state)[0].data)
    assert from_arrays(None) is None


@pytest.mark.parametrize("layers", nn.LAYERS.values())
def test_step_states_are_in_the_form_of_a_step(layers):
    module, x = layers(2, 3, num_layers=2), np.ones((1, 1, 2), np.float32)
    _, state = module(x)
    out, after = module.step(x[0], step_states(to_arrays(state)))
    expected, final = module(x, state)
    np.testing.assert_allclose(out, expected.data[0], rtol=1e-5)
    for a, b in zip(to_arrays(final), zip(*after, strict=True), strict=True):
        np.testing.assert_allclose(a, np.stack(b), rtol=1e-5)
