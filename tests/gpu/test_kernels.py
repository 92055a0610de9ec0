"""The record "cupy" on a GPU fulfils the contract at every level, with every team, precision and dtype."""

from dataclasses import replace

import numpy as np
import pytest

import minirnn_kernels
from minirnn_kernels import precision
from minirnn_kernels.cell import CELLS
from minirnn_kernels.cuda import plans, sequences
from minirnn_kernels.proof import SequenceCase, Transfer, prove, prove_case
from minirnn_kernels.proof.loop import VARIANTS
from tests.gpu.devices import WAYS, Altered, narrowed, runs


def host(gpu):
    return {"transfer": Transfer(gpu.to_device, gpu.to_host)}


def dtypes(names):
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes") if "bfloat16" in names else None
    return [getattr(ml_dtypes if name == "bfloat16" else np, name) for name in names]


def possible(gpu, way):
    if way.startswith("cluster") and gpu.architecture < 90:
        pytest.skip("clusters need compute capability 9.0")


@pytest.mark.parametrize("cell", VARIANTS)
@pytest.mark.parametrize("names", [("float64", "float32"), ("float16", "bfloat16")], ids=["32 and 64", "16"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_keeps_the_contract(gpu, way, names, cell):
    possible(gpu, way)
    record = sequences.kernels(gpu.device, **narrowed(way))
    prove(record, only_dtypes=dtypes(names), only_cells=[cell], **host(gpu))


@pytest.mark.parametrize("mode", ["high", "fast"])
@pytest.mark.parametrize("way", WAYS)
def test_every_precision_rounds_as_it_says(gpu, way, mode):
    possible(gpu, way)
    record = sequences.kernels(gpu.device, **narrowed(way))
    with precision.precision(mode):
        prove(record, rounding=mode, only_dtypes=[np.float32], **host(gpu))


def test_fast_products_are_not_taken_for_strict_ones(gpu):
    record = sequences.kernels(gpu.device, level=3)
    with precision.precision("fast"), pytest.raises(AssertionError, match="worst entry"):
        prove_case(record, "lstm", SequenceCase(T=9, B=17, I=40, H=64), dtype=np.float32, **host(gpu))


def test_the_record_that_users_get_keeps_the_contract(gpu):
    prove(minirnn_kernels.get("cupy"), **host(gpu))


# Sizes that `prove` does not use: several tiles of the batch, chunks, resident and streamed weights, whole grids.
SIZES = [(5, 16, 8, 256), (4, 33, 16, 200), (3, 65, 24, 472), (4, 17, 16, 520), (3, 40, 8, 1024), (2, 130, 8, 136)]
KINDS = [("rnn-tanh", "float32", "strict"), ("lstm", "float32", "strict"), ("lstm", "float32", "fast"),
         ("gru", "float32", "high"), ("lstm", "float64", "strict"), ("gru", "bfloat16", "strict"),
         ("lstm", "float16", "strict")]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("cell", "dtype", "mode"), KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_sizes_that_fill_a_gpu(gpu, way, cell, dtype, mode, size):
    possible(gpu, way)
    T, B, I, H = size
    storage = plans.STORAGES[dtype]
    forward = plans.Work(
        CELLS[cell.partition("-")[0]],
        storage,
        T,
        B,
        H,
        False,
        plans.product(storage, mode),
    )
    if not all(runs(gpu.device, way, work) for work in (forward, replace(forward, backward=True))):
        pytest.skip("does not fit on this GPU in this way")
    record = sequences.kernels(gpu.device, **narrowed(way))
    (number,) = dtypes([dtype])
    with precision.precision(mode):
        for ragged in (False, True):
            prove_case(
                record,
                cell,
                SequenceCase(T=T, B=B, I=I, H=H, ragged=ragged),
                seed=H + B,
                dtype=number,
                rounding=mode,
                **host(gpu),
            )


def test_random_waits_change_nothing(gpu):
    record = sequences.kernels(Altered(gpu.device), level=3)
    for cell in ("rnn-relu", "lstm", "gru"):
        prove_case(record, cell, SequenceCase(T=9, B=20, I=16, H=72, ragged=True), dtype=np.float32, **host(gpu))
