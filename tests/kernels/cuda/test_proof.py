"""Proofs of the record "cupy" on the CPU: the host logic and the CUDA sources together, on the emulated device.

Every level and every team passes the proof of the contract, on a device with room for all of W_hh, and on a small one
where W_hh is loaded in chunks and a block computes several tiles of the batch. TF32 and 16-bit storage are tested
within their rounding errors.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn_kernels.cuda import gates, runner, sequences
from minirnn_kernels.cuda.device import Properties
from minirnn_kernels.precision import precision
from minirnn_kernels.proof import SequenceCase, prove, prove_case, prove_gates, rounding
from minirnn_kernels.proof.loop import VARIANTS
from minirnn_kernels.reference import gates as numpy_gates
from tests.kernels.cuda.emulation.emulated_device import EmulatedDevice

pytestmark = pytest.mark.usefixtures("gxx")

H100 = Properties()
# Three blocks at once, so that with B > 16 a block computes a second tile. W_hh is whole, in resident chunks, or
# streamed, depending on the cell and the dtype; on the smaller device it is mostly streamed.
SMALL = tuple(dataclasses.replace(H100, multiprocessors=3, shared_bytes=size) for size in (26_000, 22_000))
TEAMS = ("block", "cluster 2", "cluster 4", "cluster 8", "grid")
WAYS = [(1, None), (2, None), *((3, team) for team in TEAMS)]
F32, F64 = np.float32, np.float64


def record(level, team, properties=H100, seed=0):
    """Return the record on an emulated device, with NumPy's gates: the gates of the device have their own test."""
    device = EmulatedDevice(properties, seed=seed, blocks=properties.multiprocessors)
    return dataclasses.replace(sequences.kernels(device, level=level, team=team), gates=numpy_gates.GATES)


def test_the_gates_are_proven():
    prove_gates(gates.gates(EmulatedDevice(H100)))


@pytest.mark.parametrize(("level", "team"), [(1, None), (2, None), (3, "block"), (3, "grid")])
def test_the_sequences_are_proven(level, team):
    prove(record(level, team), only_dtypes=(F32, F64))


@pytest.mark.parametrize(("cluster", "dtype"), [(2, F64), (4, F32), (8, F64)])
@pytest.mark.parametrize("cell", VARIANTS)
def test_clusters_are_proven(cell, cluster, dtype):
    kernels = record(3, f"cluster {cluster}")
    for T, B, I, H, ragged in ((4, 3, 5, 33, False), (3, 18, 4, 19, True), (1, 1, 1, 1, False)):
        prove_case(kernels, cell, SequenceCase(T=T, B=B, I=I, H=H, ragged=ragged), dtype=dtype)


@pytest.mark.parametrize("properties", SMALL, ids=lambda p: f"{p.shared_bytes} bytes")
@pytest.mark.parametrize(("level", "team"), [(2, None), (3, "grid")])
@pytest.mark.parametrize("cell", VARIANTS)
def test_w_in_chunks_and_several_tiles(cell, level, team, properties):
    kernels = record(level, team, properties)
    for dtype in (F32, F64):
        for T, B, I, H, ragged in ((4, 3, 5, 45, False), (3, 35, 4, 23, True)):
            prove_case(kernels, cell, SequenceCase(T=T, B=B, I=I, H=H, ragged=ragged), dtype=dtype)


@pytest.mark.parametrize(("level", "team"), [(2, None), (3, "grid")])
def test_rows_longer_than_the_loads_of_a_warp(level, team):
    prove_case(record(level, team), "rnn-tanh", SequenceCase(T=2, B=2, I=3, H=1060), dtype=F32)


@given(
    cell=st.sampled_from(list(VARIANTS)),
    sizes=st.lists(st.integers(2, 50), min_size=4, max_size=4, unique=True),
    way=st.sampled_from([(1, None), (2, None), (3, "grid"), (3, "block")]),
    properties=st.sampled_from([H100, dataclasses.replace(H100, multiprocessors=5, shared_bytes=150_000)]),
    ragged=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([F32, F64]),
)
def test_sequences_of_any_sizes(cell, sizes, way, properties, ragged, seed, dtype):
    T, B, I, H = sizes
    prove_case(
        record(*way, properties, seed), cell, SequenceCase(T=T, B=B, I=I, H=H, ragged=ragged), seed=seed, dtype=dtype
    )


# ---- other precisions ----------------------------------------------------------------------------------------------

KINDS = [("float32", "fast"), ("float32", "high"), ("float16", "strict"), ("bfloat16", "strict")]


def dtype_of(name):
    found = [d for d in rounding.dtypes() if np.dtype(d).name == name]
    return found[0] if found else pytest.skip("ml_dtypes is not installed")


@pytest.mark.parametrize(("level", "team"), [(1, None), (2, None), (3, "block"), (3, "grid")])
@pytest.mark.parametrize(("dtype", "products"), KINDS)
def test_other_precisions_are_as_exact_as_their_rounding(dtype, products, level, team):
    with precision(products):
        for cell in VARIANTS:
            for T, B, I, H, ragged in ((5, 18, 7, 37, True), (2, 3, 5, 24, False)):
                prove_case(
                    record(level, team), cell, SequenceCase(T=T, B=B, I=I, H=H, ragged=ragged), dtype=dtype_of(dtype),
                    rounding=products,
                )  # fmt: skip


def test_strict_products_are_not_rounded():
    with precision("fast"), pytest.raises(AssertionError, match="worst entry"):
        prove_case(record(3, "block"), "lstm", SequenceCase(T=5, B=18, I=7, H=37), dtype=F32)


# ---- all of it -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("level", "team"), WAYS)
@pytest.mark.parametrize(("dtype", "products"), [("float64", "strict"), ("float32", "strict"), *KINDS])
def test_everything_is_proven(dtype, products, level, team):
    with precision(products):
        prove(record(level, team, seed=1), only_dtypes=(dtype_of(dtype),), rounding=products, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("properties", SMALL, ids=lambda p: f"{p.shared_bytes} bytes")
@pytest.mark.parametrize(("level", "team"), [(2, None), (3, "grid")])
def test_everything_is_proven_with_w_in_chunks(level, team, properties):
    prove(record(level, team, properties), only_dtypes=(F32, F64))


@pytest.mark.parametrize(("level", "team"), [(1, None), (3, "block")])
def test_gradients_of_another_dtype_are_converted(level, team):
    rng = np.random.default_rng(0)
    shapes = (3, 2, 4), (2, 5), (2, 5), (20, 4), (20, 5), (20,)
    arguments = [rng.standard_normal(shape).astype(F32) for shape in shapes]
    dout, dh_n, dc_n = (rng.standard_normal(shape).astype(F32) for shape in ((3, 2, 5), (2, 5), (2, 5)))
    kernels = record(level, team)
    *_, cache = kernels.lstm.forward(*arguments)
    narrow = kernels.lstm.backward(dout, dh_n, dc_n, cache, keep_cache=True)
    wide = kernels.lstm.backward(*(g.astype(F64) for g in (dout, dh_n, dc_n)), cache)
    assert all(np.array_equal(a, b) for a, b in zip(narrow, wide, strict=True))


# ---- errors --------------------------------------------------------------------------------------------------------


def test_a_wait_that_is_abandoned_gives_nan_and_an_error(monkeypatch):
    monkeypatch.setattr(runner, "SPIN_LIMIT", 0)
    kernels = record(3, "grid")
    rng = np.random.default_rng(0)
    shapes = (6, 2, 3), (2, 40), (2, 40), (160, 3), (160, 40), (160,)
    out, *_, cache = kernels.lstm.forward(*(rng.standard_normal(shape).astype(F32) for shape in shapes))
    blocks = np.isnan(out).reshape(6, 2, 5, 8)  # of 8 units each; a whole block stops waiting
    assert blocks.any()
    assert np.array_equal(blocks.any(axis=(1, 3)), blocks.all(axis=(1, 3)))
    with pytest.raises(RuntimeError, match="stopped waiting"):
        kernels.lstm.backward(None, None, None, cache)
