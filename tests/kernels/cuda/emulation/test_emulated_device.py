"""emulation/emulated_device.py and memory.py: arrays between guard zones, products, graphs and records."""

import sys

import numpy as np
import pytest

from minirnn_kernels.cuda.device import Kernel
from tests.kernels.cuda.emulation.emulated_device import EmulatedDevice
from tests.kernels.cuda.emulation.example_kernels import WRONG
from tests.kernels.cuda.emulation.library import LaunchError

WRITE = Kernel(None, "", "write_global", threads=1)

# ---- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 4), (0,), ()])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_write_past_the_ends_of_an_array_is_an_error(shape, where):
    device = EmulatedDevice(source=lambda configuration, name: (WRONG, []))
    arrays = [device.xp.zeros(shape, np.float32) for _ in range(3)]
    x = arrays[1]
    with pytest.raises(LaunchError, match="past the ends of an array, float32"):
        device.launch(
            Kernel(None, "", "write_global", threads=1), (1, 1), [x, np.int32(-1 if where == "before" else x.size)]
        )


def test_arrays_of_the_device_behave_as_numpys():
    xp = EmulatedDevice().xp
    assert np.isnan(xp.empty((2, 3), np.float32)).all()
    assert np.isnan(xp.empty_like(xp.zeros(3, np.float16))).all()
    made = xp.concatenate([xp.zeros((2, 2)), xp.full((1, 2), 3.0)])
    assert np.array_equal(made, [[0, 0], [0, 0], [3, 3]])
    assert made.ctypes.data % 256 == 0
    assert xp.asfortranarray(made).flags.f_contiguous
    out = np.zeros((3, 2))
    assert xp.add(made, 1, out=out) is out
    assert xp.float32 is np.float32


def test_freed_arrays_become_nan():
    device = EmulatedDevice()
    x = device.xp.zeros(5)
    (piece,) = (p for p, name in device.memory._pieces.values() if name.startswith("float64"))
    view = x[1:]
    del x
    assert not piece.inner.view(np.float64).any()
    del view
    assert np.isnan(piece.inner.view(np.float64)).all()


# ---- the device ----------------------------------------------------------------------------------------------------


def test_matmul_rounds_once():
    device = EmulatedDevice()
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 40), (40, 3)))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert np.array_equal(device.matmul(a, b), exact.astype(np.float32))
    out = np.zeros((5, 3))
    assert device.matmul(a, b, out) is out
    assert np.array_equal(out, exact)
    halfs = a.astype(np.float16), b.astype(np.float16)
    assert device.matmul(*halfs).dtype == np.float16
    assert device.matmul(*halfs, dtype=np.float32).dtype == np.float32
    fast = device.matmul(a, b, precision="fast")
    assert 1e-5 < np.abs(fast - exact).max() < 1e-2
    assert not device.matmul(a[:, :0], b[:0]).any()


def test_a_graph_does_its_launches_when_it_is_replayed():
    device = EmulatedDevice(source=lambda configuration, name: (WRONG, []))
    x = device.xp.zeros(3, np.float32)
    launch = lambda: device.launch(WRITE, (1, 1), [x, np.int32(1)])
    replay = device.graph("key", launch)
    assert not x.any()
    for _ in range(2):
        x[...] = 0
        replay()
        assert x.tolist() == [0, 1, 0]
    assert device.log == ["write_global"] * 2


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda device: device.xp.empty(3),
        lambda device: device.xp.zeros(3),
        lambda device: device.matmul(np.zeros((1, 1)), np.zeros((1, 1))),
        lambda device: device.record(np.zeros((), "i4,f8")[()]),
    ],
)
def test_a_capture_takes_launches_only(forbidden):
    device = EmulatedDevice()
    with pytest.raises(RuntimeError, match="in the capture of a graph"):
        device.graph("key", lambda: forbidden(device))
    forbidden(device)


def test_a_record_is_overwritten_at_its_address():
    device = EmulatedDevice()
    dtype = np.dtype([("n", np.int32), ("p", np.uint64)], align=True)
    record = device.record(np.array((3, 4), dtype)[()])
    address = device.address(record)
    assert int.from_bytes((record.tobytes())[:4], sys.byteorder) == 3
    assert device.record(np.array((5, 6), dtype)[()], record) is record
    assert device.address(record) == address
    assert record["n"] == 5
    assert device.address(None) == 0


def test_a_cooperative_launch_has_all_its_blocks_at_once():
    device = EmulatedDevice(blocks=8, source=lambda configuration, name: (WRONG, []))
    flags = device.xp.zeros(9, np.int32)
    device.launch(Kernel(None, "", "all_meet", threads=32), (8, 1), [flags], cooperative=True)
    with pytest.raises(LaunchError, match="a cooperative launch of 9 blocks, 8 can run at once"):
        device.launch(Kernel(None, "", "all_meet", threads=32), (9, 1), [flags], cooperative=True)
