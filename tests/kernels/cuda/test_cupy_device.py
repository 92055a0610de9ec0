"""cuda/cupy_device.py: how it calls CuPy, on a fake whose GPU is host memory."""

import ctypes
import importlib
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minirnn_kernels.cuda.device import Kernel
from minirnn_kernels.cuda.plans import PASS
from minirnn_kernels.cuda.source import KernelConfiguration
from tests.doubles import fake_cupy
from tests.doubles.strict_array import StrictArray

LSTM = KernelConfiguration("LSTM", "float", "FMA")
FORWARD = Kernel(LSTM, "sequence", "forward", threads=256, shared_bytes=50_000)
BACKWARD = Kernel(LSTM, "sequence", "backward", threads=256, shared_bytes=60_000)


@pytest.fixture
def mocked(monkeypatch):
    """A device, and the list of the calls that it makes."""
    _, calls = fake_cupy.install(monkeypatch)
    device = importlib.import_module("minirnn_kernels.cuda.cupy_device").CupyDevice()
    yield device, calls
    sys.modules.pop("minirnn_kernels.cuda.cupy_device")


def laid_out(values, how):
    """Return values (M, N) with some layout in memory."""
    M, N = values.shape
    if how == "rows":
        a = values.copy()
    elif how == "columns":
        a = values.T.copy().T
    elif how == "columns of more":
        a = np.full((M, N + 5), 9, values.dtype)
        a = a[:, 2 : 2 + N]
        a[...] = values
    elif how == "rows of more, transposed":
        a = np.full((N, M + 3), 9, values.dtype)[:, 1 : 1 + M].T
        a[...] = values
    else:
        a = np.repeat(np.repeat(values, 2, axis=0), 2, axis=1)[::2, ::2]
    return StrictArray(a)


LAYOUTS = ("rows", "columns", "columns of more", "rows of more, transposed", "every other")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 6), min_size=3, max_size=3),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 2),
    dtype=st.sampled_from([np.float32, np.float64, np.float16]),
    wide=st.booleans(),
    out=st.booleans(),
)
def test_products_of_any_layout(mocked, sizes, layouts, dtype, wide, out):
    device, _ = mocked
    M, K, N = sizes
    rng = np.random.default_rng(M + 10 * K + 100 * N)
    a, b = rng.integers(-8, 9, (M, K)).astype(dtype), rng.integers(-8, 9, (K, N)).astype(dtype)
    result = np.float32 if wide and dtype == np.float16 else dtype
    given = laid_out(a, layouts[0]), laid_out(b, layouts[1])
    if out:
        around = StrictArray(np.full((M, N + 4), 5, result))
        got = device.matmul(*given, out=around[:, 1 : 1 + N])
        assert np.shares_memory(got.host, around.host) or not got.size
        around[:, 1 : 1 + N] = 5
        got = device.matmul(*given, out=around[:, 1 : 1 + N]).copy()
        around[:, 1 : 1 + N] = 5
        assert np.all(around.host == 5)
    else:
        got = device.matmul(*given, dtype=result)
    assert got.dtype == result
    assert np.array_equal(got.host, a.astype(float) @ b.astype(float))


def test_a_sum_over_nothing_is_zero(mocked):
    device, calls = mocked
    a, b = (StrictArray(np.ones(shape, np.float32)) for shape in ((2, 0), (0, 3)))
    assert np.array_equal(device.matmul(a, b).host, np.zeros((2, 3)))
    assert not calls


def test_rows_that_share_memory_are_copied(mocked):
    device, _ = mocked
    same = np.lib.stride_tricks.as_strided(np.arange(3, dtype=np.float32), (4, 3), (0, 4))
    for rows in (same, same.T):
        identity = np.eye(rows.shape[1], dtype=np.float32)
        assert np.array_equal(device.matmul(StrictArray(rows), StrictArray(identity)).host, rows)


@pytest.mark.parametrize(
    ("dtype", "mode", "compute"),
    [
        (np.float32, "strict", 69),
        (np.float32, "high", 68),
        (np.float32, "fast", 77),
        (np.float64, "fast", 70),
        (np.float16, "strict", 68),
    ],
)
def test_the_precision_is_cublas_compute_type(mocked, dtype, mode, compute):
    device, calls = mocked
    a = StrictArray(np.ones((2, 3), dtype))
    device.matmul(a, a.T, precision=mode)
    ((name, *_, used, _),) = calls
    assert (name, used) == ("gemmEx", compute)


def test_views_that_blas_can_read_are_not_copied(mocked, monkeypatch):
    device, _ = mocked
    monkeypatch.setattr(device.xp, "ascontiguousarray", None)
    values = np.ones((4, 5), np.float32)
    for how in LAYOUTS[:-1]:
        device.matmul(laid_out(values, how), laid_out(values.T, how))


def test_a_kernel_is_compiled_once_and_may_use_all_shared_memory(mocked):
    device, calls = mocked
    for _ in range(2):
        device.launch(FORWARD, (8, 3), (None, np.int32(0), np.int32(1)))
    device.launch(BACKWARD, (2, 3), (None, np.int32(0), np.int32(1)), cooperative=True)
    launch = ("launch", "forward", (8, 3), (256,), 3, 50_000, False)
    compiled = ("compile", ("--std=c++17", "-DCELL=LSTM", "-DSTORAGE=float", "-DPRODUCT=FMA", "-DCLUSTER=1"), "nvrtc")
    assert calls == [
        compiled,
        ("shared", "forward", 232_448 - 16),
        launch,
        launch,
        ("shared", "backward", 232_448 - 16),
        ("launch", "backward", (2, 3), (256,), 3, 60_000, True),
    ]


def test_blocks_at_once_are_those_of_all_multiprocessors(mocked):
    device, _ = mocked
    assert device.blocks_at_once(FORWARD) == 264
    assert device.blocks_at_once(replace(FORWARD, shared_bytes=150_000)) == 132


def test_kernels_are_loaded_before_a_capture_begins(mocked):
    device, calls = mocked
    replay = device.graph("key", lambda: device.launch(FORWARD, (1, 1), ()))
    names = [call[0] for call in calls]
    assert names == ["compile", "shared", "stream", "begin", "launch", "end", "stream left"]
    assert calls[2] == ("stream", True)  # not synchronised with the default stream
    replay()
    assert calls[-1] == ("replay",)


def test_a_capture_that_fails_is_ended(mocked):
    device, calls = mocked
    times = []

    def capture():
        times.append(1)
        if len(times) == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        device.graph("key", capture)
    assert [call[0] for call in calls] == ["stream", "begin", "end", "stream left"]
    device.launch(FORWARD, (1, 1), ())
    assert calls[-1][0] == "launch"


def test_another_thread_launches_while_one_loads(mocked):
    device, calls = mocked
    inside, done = threading.Event(), threading.Event()

    def capture():
        inside.set()
        assert done.wait(10)

    thread = threading.Thread(target=lambda: device.graph("key", capture))
    thread.start()
    assert inside.wait(10)
    device.launch(FORWARD, (1, 1), ())
    assert calls[-1][0] == "launch"
    done.set()
    thread.join()


def test_the_error_word_is_pinned_memory_that_the_host_reads(mocked):
    device, calls = mocked
    assert not device.failed()
    address = device.error_word
    assert address == device.error_word
    assert calls == [("hostAlloc", 4, 3)]
    assert not device.failed()
    ctypes.c_int.from_address(address).value = 1
    assert device.failed()
    assert not device.failed()


def test_a_record_is_its_bytes_and_stays_where_it_is(mocked):
    device, _ = mocked
    values = np.zeros((), PASS)
    values["T"], values["error"] = 3, 2**60
    made = device.record(values)
    assert made.get().tobytes() == values.tobytes()
    values["T"] = 4
    assert device.record(values, into=made) is made
    assert made.get().tobytes() == values.tobytes()
    assert device.address(made) == made.host.ctypes.data
    assert device.address(None) == 0


def test_properties_come_from_the_driver(mocked):
    properties = mocked[0].properties
    assert (properties.name, properties.architecture, properties.multiprocessors) == ("A GPU of straw", 90, 132)
    assert properties.shared_bytes == 232_448
    assert properties.clock == pytest.approx(1.98e9)
    assert properties.bandwidth == pytest.approx(3.352e12, rel=1e-3)
    assert properties.largest_cluster == 8


def test_a_stream_is_told_by_its_device_and_address(mocked):
    assert mocked[0].stream() == (0, 99)
