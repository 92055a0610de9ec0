"""cuda/plans.py: for random sizes, every plan follows the rules on which the kernels rely."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn_kernels.cell import GRU, LSTM, RNN
from minirnn_kernels.cuda import source
from minirnn_kernels.cuda.device import Properties
from minirnn_kernels.cuda.plans import PASS, STORAGES, PassPlan, Work, plans, product, shared_bytes
from tests.kernels.cuda.works import A100, works_of

SMALL = Properties("small", 89, 24, 101_376)  # a laptop GPU

works = works_of(B=200, H=700)


def pitch(columns, item):
    """Return the pitch, independently of the code: whole lines of 128 bytes, and 16 bytes."""
    line = 128 // item
    return -(-columns // line) * line + 16 // item


@given(work=works, properties=st.sampled_from([Properties(), A100, SMALL]))
def test_every_plan_follows_the_rules(work, properties):
    for name, plan in plans(work, properties).items():
        if not isinstance(plan, PassPlan) or plan.level == 1:
            continue
        item, wide = work.storage.bytes, 8 if work.storage.name == "double" else 4
        K = work.unit.products * work.H if work.backward else work.H
        rows = plan.units if work.backward else work.unit.products * plan.units
        assert plan.units % 8 == 0
        assert plan.units > 0
        assert plan.splits in (1, 2, 4, 8)
        assert plan.chunk % (16 * plan.splits) == 0
        assert plan.chunk > 0
        chunks = -(-K // plan.chunk)
        W = rows * pitch(chunks * plan.chunk if plan.resident else plan.chunk, item) * item
        state = 16 * pitch(plan.chunk, item) * item
        partial = plan.splits * 16 * (rows + 8 * (rows % 32 == 0)) * wide
        assert plan.shared_bytes == sum(-(-part // 16) * 16 for part in (W, state, partial))
        assert plan.shared_bytes <= properties.shared_bytes
        x, y = plan.grid
        tiles = -(-work.B // 16)
        assert x * plan.units >= work.H  # every unit has a block
        assert 1 <= y <= tiles
        if name == "2":
            assert y == tiles
            assert (x - 1) * plan.units < work.H
        elif name == "grid":
            assert (x - 1) * plan.units < work.H
            assert x * y <= properties.multiprocessors
            assert plan.cooperative
        else:
            assert x == plan.cluster <= properties.largest_cluster
            assert plan.chunk >= K
            assert plan.resident
            assert y == tiles
            assert not plan.cooperative


def test_the_record_has_the_members_of_the_kernels_struct():
    text = source.text("sequence")
    body = re.search(r"struct Pass \{(.*?)\n\};", text, re.DOTALL)[1]
    body = re.sub(r"//.*", "", body)
    members = []
    for kind, names in re.findall(r"^\s*(?:const )?(\w+\*?)\s+([\w, ]+);", body, re.MULTILINE):
        members += [(name.strip(), np.uint64 if kind.endswith("*") else np.int32) for name in names.split(",")]
    assert [name for name, _ in members] == list(PASS.names)
    assert [kind for _, kind in members] == [PASS[name] for name in PASS.names]
    assert PASS.itemsize == 12 * 4 + 14 * 8
    assert PASS.isalignedstruct


def test_a_small_sequence_fits_one_block_and_a_large_one_doesnt():
    def work(H):
        return Work(LSTM, STORAGES["float32"], 50, 16, H)

    assert isinstance(plans(work(96), Properties())["block"], PassPlan)
    reason = plans(work(128), Properties())["block"]
    assert "needs 312,064 bytes of shared memory a block, there are 232,448" in reason


def test_before_hopper_there_are_no_clusters():
    found = plans(Work(GRU, STORAGES["float32"], 50, 16, 128), A100)
    for name in ("cluster 2", "cluster 4", "cluster 8"):
        assert "needs clusters (compute capability 9.0), there is 8.0" in found[name]


def test_a_device_with_little_shared_memory_has_only_level_1():
    tiny = dataclasses.replace(Properties(), shared_bytes=2048)
    found = plans(Work(LSTM, STORAGES["float64"], 5, 3, 20), tiny)
    assert {name for name, plan in found.items() if isinstance(plan, PassPlan)} == {"1"}
    assert "there are 2,048" in found["2"]
    assert "there are 2,048" in found["grid"]


def test_the_whole_grid_holds_weights_that_a_cluster_cant():
    plan = plans(Work(LSTM, STORAGES["float32"], 50, 16, 1024), Properties())["grid"]
    assert plan.resident
    assert plan.grid == (128, 1)


def test_weights_that_fit_nowhere_are_streamed():
    plan = plans(Work(LSTM, STORAGES["float32"], 50, 16, 2048), Properties())["grid"]
    assert not plan.resident


def test_the_sum_over_k_is_divided_until_all_warps_have_work():
    work = Work(RNN, STORAGES["float32"], 50, 16, 512)
    assert plans(work, Properties())["grid"].splits == 8  # 8 units per block: one job without splits
    assert plans(work, Properties())["cluster 8"].splits == 1  # 64 units


def test_products_by_dtype_and_precision():
    for mode, expected in {"strict": "FMA", "high": "TF32X3", "fast": "TF32"}.items():
        assert product(STORAGES["float32"], mode) == expected
        assert product(STORAGES["float64"], mode) == "FMA"
        assert product(STORAGES["float16"], mode) == product(STORAGES["bfloat16"], mode) == "MMA16"


@pytest.mark.parametrize("backward", [False, True])
def test_shared_memory_of_a_known_block(backward):
    # 8 units of an LSTM with H = 64: forward 32 rows of 64 columns, backward 8 rows of 256
    work = Work(LSTM, STORAGES["float32"], 5, 3, 64, backward)
    rows, columns, apart = (
        (8, 256, 8) if backward else (32, 64, 40)
    )  # a pitch of 32 would put all rows into the same banks
    expected = rows * (columns + 4) * 4 + 16 * (columns + 4) * 4 + 2 * 16 * apart * 4
    assert shared_bytes(work, 8, columns, 2, True) == expected
