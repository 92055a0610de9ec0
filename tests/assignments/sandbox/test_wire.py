"""Messages: values arrive as they were sent, and code can't be sent."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.assignments.sandbox import wire

LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False), st.text())
TREES = st.recursive(
    LEAVES,
    lambda t: (
        st.lists(t, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_characters="!"), max_size=5), t, max_size=3)
    ),
)
DTYPES = ["f8", "f4", "f2", "c16", "i8", "u1", "?", "g"]


@given(TREES)
def test_trees_arrive_as_they_were(tree):
    assert wire.unpack(wire.pack(tree)[8:]) == tree


@given(st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=3)), max_size=4))
def test_arrays_arrive_with_dtype_shape_and_values(kinds):
    arrays = [np.asarray(np.random.default_rng(0).integers(0, 2, shape)).astype(dtype) for dtype, shape in kinds]
    for sent, got in zip(arrays, wire.unpack(wire.pack(arrays)[8:]), strict=True):
        assert (got.dtype, got.shape) == (sent.dtype, sent.shape)
        np.testing.assert_array_equal(got, sent)


def test_memory_order_nan_and_objects():
    turned = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    got = wire.unpack(wire.pack({"a": turned, "b": float("nan"), "c": np.array([None, {}])})[8:])
    np.testing.assert_array_equal(got["a"], turned)
    assert np.isnan(got["b"])
    assert got["c"].dtype == object
    assert got["c"].tolist() == [None, None]


def test_code_cannot_be_sent():
    with pytest.raises(TypeError, match="can't be sent"):
        wire.pack({"f": print})


def test_pipes_end_and_time_out():
    read, write = os.pipe()
    wire.send(write, {"x": np.ones(3)})
    assert wire.receive(read, 1.0)["x"].sum() == 3
    with pytest.raises(wire.TooSlow):
        wire.receive(read, 0.01)
    os.write(write, b"\x05\x00\x00")
    os.close(write)
    with pytest.raises(wire.Closed):
        wire.receive(read, 1.0)
    os.close(read)


def test_a_message_that_is_too_long_is_refused():
    read, write = os.pipe()
    os.write(write, (1 << 40).to_bytes(8, "little"))
    with pytest.raises(ValueError, match="a message of"):
        wire.receive(read, 1.0)
    os.close(read)
    os.close(write)
