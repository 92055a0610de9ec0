"""cuda/cupy_device.py: how CuPy is called, on a mock whose GPU is the host's memory."""

import importlib
import sys
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minirnn_kernels.cuda.sequence_pass import PASS
from minirnn_kernels.cuda.source import Configuration
from tests.doubles import mock_cupy

LSTM = Configuration("LSTM", "float", "FMA")


@pytest.fixture
def mocked(monkeypatch):
    """The device and the calls that it makes."""
    _, calls = mock_cupy.install(monkeypatch)
    device = importlib.import_module("minirnn_kernels.cuda.cupy_device").CupyDevice()
    yield device, calls
    sys.modules.pop("minirnn_kernels.cuda.cupy_device")


def laid_out(values, how):
    """values (M, N) in memory in some way."""
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
    return a.view(mock_cupy.ndarray)


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
        around = np.full((M, N + 4), 5, result).view(mock_cupy.ndarray)
        got = device.matmul(*given, out=around[:, 1 : 1 + N])
        assert np.shares_memory(got, around) or not got.size
        around[:, 1 : 1 + N] = 5
        expected, got = a.astype(float) @ b.astype(float), device.matmul(*given, out=around[:, 1 : 1 + N]).copy()
        around[:, 1 : 1 + N] = 5
        assert np.all(around == 5)
    else:
        expected, got = a.astype(float) @ b.astype(float), device.matmul(*given, dtype=result)
    assert got.dtype == result
    assert np.array_equal(got, expected)


def test_a_sum_over_nothing_is_zero(mocked):
    device, calls = mocked
    a, b = (np.ones(shape, np.float32).view(mock_cupy.ndarray) for shape in ((2, 0), (0, 3)))
    assert np.array_equal(device.matmul(a, b), np.zeros((2, 3)))
    assert not calls


def test_rows_that_share_memory_are_copied(mocked):
    device, _ = mocked
    row = np.arange(3, dtype=np.float32).view(mock_cupy.ndarray)
    same = np.lib.stride_tricks.as_strided(row, (4, 3), (0, 4), subok=True)
    assert np.array_equal(device.matmul(same, np.eye(3, dtype=np.float32).view(mock_cupy.ndarray)), same)
    assert np.array_equal(device.matmul(same.T, np.eye(4, dtype=np.float32).view(mock_cupy.ndarray)), same.T)


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
    a = np.ones((2, 3), dtype).view(mock_cupy.ndarray)
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
        device.launch(LSTM, "sequence", "forward", (8, 3), 256, 50_000, (None, np.int32(0), np.int32(1)))
    device.launch(LSTM, "sequence", "backward", (2, 3), 256, 60_000, (None, np.int32(0), np.int32(1)), cooperative=True)
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
    assert device.blocks_at_once(LSTM, "sequence", "forward", 256, 50_000) == 264
    assert device.blocks_at_once(LSTM, "sequence", "forward", 256, 150_000) == 132


def test_kernels_are_loaded_before_a_capture_begins(mocked):
    device, calls = mocked
    graph = device.graph("key", lambda: device.launch(LSTM, "sequence", "forward", (1, 1), 256, 0, ()))
    names = [call[0] for call in calls]
    assert names == ["compile", "shared", "stream", "begin", "launch", "end", "stream left"]
    assert calls[2] == ("stream", True)  # it doesn't wait for the default stream
    graph.replay()
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
    device.launch(LSTM, "sequence", "forward", (1, 1), 256, 0, ())
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
    device.launch(LSTM, "sequence", "forward", (1, 1), 256, 0, ())
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
    mock_cupy.ctypes.c_int.from_address(address).value = 1
    assert device.failed()
    assert not device.failed()


def test_a_record_is_its_bytes_and_stays_where_it_is(mocked):
    device, _ = mocked
    values = np.zeros((), PASS)
    values["T"], values["error"] = 3, 2**60
    made = device.record(values)
    assert made.tobytes() == values.tobytes()
    values["T"] = 4
    assert device.record(values, into=made) is made
    assert made.tobytes() == values.tobytes()
    assert device.address(made) == made.ctypes.data
    assert device.address(None) == 0


def test_properties_come_from_the_driver(mocked):
    properties = mocked[0].properties
    assert (properties.name, properties.architecture, properties.multiprocessors) == ("Mock", 90, 132)
    assert properties.shared_bytes == 232_448
    assert properties.clock == pytest.approx(1.98e9)
    assert properties.bandwidth == pytest.approx(3.352e12, rel=1e-3)
    assert properties.largest_cluster == 8


def test_a_stream_is_told_by_its_device_and_address(mocked):
    assert mocked[0].stream() == (0, 99)
