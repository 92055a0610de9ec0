"""minirnn.testing: correct layers have the properties, and wrong ones do not; strategies draw the documented values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn import testing
from minirnn.assignments.catalogue import answers, gallery
from minirnn_kernels.cell import CELLS


def functions(cell, source=None):
    names = vars(answers)
    if source is not None:
        names = {}
        exec(source, names)
    return names[f"{cell}_forward"], names[f"{cell}_backward"]


def inputs(c):
    return [*testing.sequences(c), *testing.parameters(c)]


@given(c=testing.configurations())
def test_correct_layers_have_every_property(c):
    forward, backward = functions(c.cell)
    given, dh = inputs(c), testing.upstreams(c)
    testing.assert_linear_in_upstream(forward, backward, given, c.seed)
    testing.assert_batch_rows_are_independent(forward, backward, given, dh, c.seed)
    testing.assert_hidden_units_permute(forward, backward, given, dh, c.seed)
    testing.assert_the_past_ignores_the_future(forward, given, c.seed)
    if c.cell != "lstm":
        testing.assert_steps_compose(forward, backward, given, dh)


CATCHES = {
    "bias-batch/rnn": testing.assert_batch_rows_are_independent,
    "batch-scale/rnn": testing.assert_batch_rows_are_independent,
    "dw-transposed": testing.assert_steps_compose,
    "h-carry-dropped/gru": testing.assert_steps_compose,
    "one-cache/gru": testing.assert_steps_compose,
    "reshape-for-transpose": testing.assert_batch_rows_are_independent,
}


@pytest.mark.parametrize("name", [n for n in CATCHES if n != "dw-transposed"])
def test_each_property_finds_its_mistake(name):
    found = gallery.specimen(name)
    c = testing.Configuration(found.section, 3, 4, 2, 5, seed=1)
    forward, backward = functions(c.cell, found.source)
    with pytest.raises(AssertionError, match=r"result|dh0|dx"):
        CATCHES[name](forward, backward, inputs(c), testing.upstreams(c))


def test_clipping_is_not_linear():
    c = testing.Configuration("lstm", 3, 4, 2, 5, seed=1)
    forward, backward = functions("lstm", gallery.specimen("clipped").source.replace("-5, 5", "-0.5, 0.5"))
    with pytest.raises(AssertionError, match="linear"):
        testing.assert_linear_in_upstream(forward, backward, inputs(c))


def test_transposed_recurrent_weights_do_not_permute_with_the_units():
    c = testing.Configuration("rnn", 3, 4, 2, 5, seed=1)
    forward, backward = functions("rnn")

    def shifted(dh, cache):
        dx, dh0, dWx, dWh, db = backward(dh, cache)
        return dx, dh0, np.roll(dWx, 1, axis=1), dWh, db

    with pytest.raises(AssertionError, match="permuted units"):
        testing.assert_hidden_units_permute(forward, shifted, inputs(c), testing.upstreams(c))


@given(c=testing.configurations(largest=7), data=st.data())
def test_the_drawn_values(c, data):
    assert len({c.N, c.T, c.D, c.H}) == 4
    lengths = data.draw(testing.lengths(c))
    assert lengths.shape == (c.N,)
    assert 1 <= lengths.min() <= lengths.max() <= c.T
    x, h0 = testing.sequences(c, np.float32)
    assert (x.shape, h0.shape, x.dtype) == ((c.N, c.T, c.D), (c.N, c.H), np.float32)
    Wx, Wh, *biases = testing.parameters(c)
    assert (Wx.shape, Wh.shape) == ((c.D, c.K), (c.H, c.K))
    assert len(biases) == len(CELLS[c.cell].biases)
    np.testing.assert_array_equal(testing.upstreams(c), testing.upstreams(c))
