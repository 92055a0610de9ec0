"""cuda/sequences.py and runner.py on a fake device: which kernels are launched, and with which memory."""

import dataclasses
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn_kernels.cell import CELLS
from minirnn_kernels.cuda import runner, sequences
from minirnn_kernels.cuda.device import Properties
from minirnn_kernels.cuda.levels import VARIABLE
from minirnn_kernels.precision import precision
from tests.doubles.fake_device import FakeDevice


@pytest.fixture(autouse=True)
def nothing_forced(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def arguments(name, T=5, B=3, I=4, H=6, dtype=np.float32):
    rng, cell = np.random.default_rng(0), CELLS[name]
    K = len(cell.gates) * H
    shapes = [(T, B, I), *[(B, H)] * len(cell.states), (K, I), (K, H), *[(K,)] * len(cell.biases)]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def train(kernels, cell, lengths=None, keep=False, **sizes):
    """Run forward and backward; return the gradients, which the fake device leaves as they were allocated."""
    given = arguments(cell, **sizes)
    out, *_, cache = kernels.of(cell).forward(*given, lengths)
    upstream = [np.ones_like(out), *map(np.ones_like, given[1 : 1 + len(CELLS[cell].states)])]
    return kernels.of(cell).backward(*upstream, cache, keep_cache=keep)


def names(device):
    return [launch.kernel.name for launch in device.launches]


# ---- levels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_level_1_is_a_product_and_the_gates_for_each_step(cell):
    device = FakeDevice()
    train(sequences.kernels(device, level=1), cell, T=5)
    assert names(device) == ["gates_forward"] * 5 + ["gates_backward"] * 5
    assert len(device.products) == 1 + 5 + 5 + 4  # x; h; da; dx, dW_ih, dW_hh, db


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("T", [64, 70])
def test_level_2_replays_a_graph_that_covers_all_steps(cell, T):
    device = FakeDevice()
    train(sequences.kernels(device, level=2), cell, T=T)
    forward = [launch for launch in device.launches if launch.kernel.name == "forward"]
    backward = [launch for launch in device.launches if launch.kernel.name == "backward"]
    for launches, steps in ((forward, T), (backward, T + 1)):  # the backward pass has one more, for dh0
        at = [int(launch.record["base"]) + int(launch.args[1]) for launch in launches]
        assert at[:steps] == list(range(steps))
        assert all(step >= steps for step in at[steps:])  # in these steps a kernel returns at once
        assert all(launch.args[2] == launch.args[1] + 1 for launch in launches)
    assert device.replays == (2 + 3 if T == 64 else 3 + 3)


def test_level_3_is_one_launch_each_way():
    device = FakeDevice()
    train(sequences.kernels(device, level=3), "lstm", T=70, B=16, H=64)
    assert names(device) == ["forward", "backward"]
    assert [tuple(map(int, launch.args[1:])) for launch in device.launches] == [(0, 70), (0, 71)]


def test_no_rows_no_launches():
    for level in (1, 2, 3):
        device = FakeDevice()
        gradients = train(sequences.kernels(device, level=level), "gru", B=0)
        assert not device.launches
        assert not any(gradient.any() for gradient in gradients)


def test_the_environment_forces_a_level_at_each_call(monkeypatch):
    device = FakeDevice()
    kernels = sequences.kernels(device)
    monkeypatch.setenv(VARIABLE, "1")
    train(kernels, "rnn")
    monkeypatch.setenv(VARIABLE, "3")
    train(kernels, "rnn")
    assert names(device) == ["gates_forward"] * 5 + ["gates_backward"] * 5 + ["forward", "backward"]
    monkeypatch.setenv(VARIABLE, "x")
    with pytest.raises(ValueError, match="MINIRNN_CUDA_LEVEL is 'x', expected 1, 2 or 3"):
        train(kernels, "rnn")


@given(
    T=st.integers(1, 40),
    B=st.integers(1, 100),
    H=st.integers(1, 300),
    cell=st.sampled_from(["rnn", "lstm", "gru"]),
    blocks=st.integers(0, 132),
    shared_bytes=st.sampled_from([20_000, 101_376, 232_448]),
    architecture=st.sampled_from([80, 90]),
)
def test_no_launch_asks_for_more_than_there_is(T, B, H, cell, blocks, shared_bytes, architecture):
    properties = dataclasses.replace(Properties(), shared_bytes=shared_bytes, architecture=architecture)
    device = FakeDevice(properties, blocks=blocks)
    train(sequences.kernels(device), cell, T=T, B=B, H=H, I=2)
    for launch in device.launches:
        assert launch.kernel.shared_bytes <= shared_bytes
        assert not launch.cooperative or launch.grid[0] * launch.grid[1] <= blocks
        assert launch.kernel.configuration.cluster in ((1,) if architecture == 80 else (1, 2, 4, 8))
        if launch.kernel.configuration.cluster > 1:
            assert launch.grid[0] == launch.kernel.configuration.cluster


@pytest.mark.parametrize(("blocks", "fit"), [(10, False), (63, False), (64, True)])
def test_blocks_that_dont_fit_fall_back_to_graphs(blocks, fit):
    device = FakeDevice(blocks=blocks)
    train(sequences.kernels(device), "lstm", T=50, B=16, H=512)
    assert ("advance" in names(device)) != fit
    assert any(launch.cooperative for launch in device.launches) == fit


def test_blocks_that_dont_fit_are_an_error_if_level_3_is_forced(monkeypatch):
    monkeypatch.setenv(VARIABLE, "3")
    device = FakeDevice(blocks=10)
    with pytest.raises(ValueError, match=r"level 3 needs 64 blocks of .* bytes .* H = 512, B = 16; H100 holds 10"):
        train(sequences.kernels(device), "lstm", T=5, B=16, H=512)


# ---- arguments of kernels ------------------------------------------------------------------------------------------


def test_flags_are_zero_before_each_cooperative_launch():
    device = FakeDevice()
    kernels = sequences.kernels(device, level=3, team="grid")
    for _ in range(3):
        train(kernels, "gru", B=40, H=64)
    assert len(device.launches) == 6
    for launch in device.launches:
        assert launch.cooperative
        assert len(launch.flags) == launch.grid[0] * launch.grid[1]
        assert not launch.flags.any()


@pytest.mark.parametrize(
    ("level", "team", "grid"), [(2, None, 1), (3, "block", 0), (3, "cluster 4", 0), (3, "grid", 1)]
)
def test_only_clusters_keep_the_state_in_shared_memory(level, team, grid):
    device = FakeDevice()
    train(sequences.kernels(device, level=level, team=team), "lstm")
    records = [launch.record for launch in device.launches]
    assert all(record["grid"] == grid for record in records)


def test_the_record_has_addresses_and_sizes():
    device = FakeDevice()
    train(sequences.kernels(device, level=3, team="block"), "lstm", lengths=np.array([5, 1, 3]), T=5, B=3, H=6)
    forward, backward = (launch.record for launch in device.launches)
    for record in (forward, backward):
        assert [int(record[name]) for name in ("T", "B", "H", "training", "relu", "base")] == [5, 3, 6, 1, 0, 0]
        assert record["spin_limit"] > 1000
        assert record["error"] == device.error_word
        assert all(record[name] for name in ("gates", "W_hh", "h", "c", "lengths"))
        assert not record["bias"]
        assert not record["flags"]
    assert not any(forward[name] for name in ("dout", "dh_n", "dc_n", "carry", "da", "dh0"))
    assert all(backward[name] for name in ("dout", "dh_n", "dc_n", "carry", "da", "dh0"))
    assert backward["da"] == backward["gates"]  # in place
    assert forward["h"] == backward["h"]


def test_a_kept_cache_is_not_overwritten():
    device = FakeDevice()
    train(sequences.kernels(device, level=3), "lstm", keep=True)
    assert device.launches[-1].record["da"] != device.launches[-1].record["gates"]


def test_16_bit_gates_dont_share_memory_with_their_gradients():
    device = FakeDevice()
    for cell in ("rnn", "lstm", "gru"):
        gradients = train(sequences.kernels(device, level=3), cell, dtype=np.float16)
        record = device.launches[-1].record
        assert record["da"] != record["gates"]
        assert all(gradient.dtype == np.float16 for gradient in gradients)
        forward = device.launches[-2].record
        assert forward["gates"] != forward["h"] + 2 * 3 * 6


def test_the_rnn_computes_in_the_place_of_its_states():
    device = FakeDevice()
    kernels = sequences.kernels(device, level=3)
    kernels.rnn.inference(*arguments("rnn"))
    record = device.launches[-1].record
    assert record["gates"] == record["h"] + 4 * 3 * 6
    assert not record["training"]


def test_inference_needs_one_c():
    device = FakeDevice()
    kernels = sequences.kernels(device, level=1)
    kernels.lstm.inference(*arguments("lstm"))
    places = {launch.args[k].ctypes.data for launch in device.launches for k in (5, 7)}
    assert len(places) == 1


# ---- graphs --------------------------------------------------------------------------------------------------------


def test_a_graph_is_captured_once_and_its_record_filled_for_each_call():
    device = FakeDevice()
    kernels = sequences.kernels(device, level=2)
    for _ in range(3):
        train(kernels, "lstm", T=40)
    assert len(device.keys) == 2  # forward and backward
    forwards = [launch for launch in device.launches if launch.kernel.name == "forward"]
    assert len({launch.args[0].ctypes.data for launch in forwards}) == 1
    starts = [launch for launch in forwards if launch.args[1] == 0]
    assert [int(launch.record["base"]) for launch in starts] == [0, 32] * 3


def test_sequences_of_other_lengths_and_batches_share_graphs():
    device = FakeDevice()
    kernels = sequences.kernels(device, level=2)
    for T in (33, 64, 100):
        for B in (17, 20, 32):
            train(kernels, "rnn", T=T, B=B)
    assert len(device.keys) == 2
    train(kernels, "rnn", T=33, B=33)  # a third tile
    assert len(device.keys) == 4


def test_the_least_recently_used_graph_goes(monkeypatch):
    monkeypatch.setattr(runner, "MOST_GRAPHS", 2)
    device = FakeDevice()
    kernels = sequences.kernels(device, level=2)

    def run(B):
        kernels.rnn.inference(*arguments("rnn", B=B))

    run(16)
    run(32)
    run(16)  # now the graph for 32 is the older one
    run(48)
    assert len(device.keys) == 3
    run(16)
    assert len(device.keys) == 3
    run(32)
    assert len(device.keys) == 4


def test_each_thread_has_its_own_graphs():
    device = FakeDevice()
    kernels = sequences.kernels(device, level=2)
    ready = threading.Barrier(2)

    def run():
        ready.wait()
        kernels.rnn.inference(*arguments("rnn"))
        ready.wait()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(device.keys) == 2
    records = {launch.args[0].ctypes.data for launch in device.launches}
    assert len(records) == 2


def test_each_stream_has_its_own_graphs():
    device = FakeDevice()
    kernels = sequences.kernels(device, level=2)
    kernels.rnn.inference(*arguments("rnn"))
    device.stream = lambda: 1
    kernels.rnn.inference(*arguments("rnn"))
    assert len(device.keys) == 2


# ---- precision -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "product"), [("strict", "FMA"), ("high", "TF32X3"), ("fast", "TF32")])
def test_the_precision_reaches_products_and_kernels(mode, product):
    device = FakeDevice()
    with precision(mode):
        train(sequences.kernels(device, level=3), "lstm")
    assert {launch.kernel.configuration.product for launch in device.launches} == {product}
    assert [used for *_, used in device.products] == [mode] * 4 + ["strict"]  # the gradient of the bias is a plain sum


def test_a_backward_computes_as_its_forward_did():
    device = FakeDevice()
    kernels = sequences.kernels(device, level=3)
    with precision("fast"):
        *_, cache = kernels.rnn.forward(*arguments("rnn"))
    kernels.rnn.backward(None, None, cache)
    assert {launch.kernel.configuration.product for launch in device.launches} == {"TF32"}


def test_gates_are_compiled_once_for_all_precisions():
    device = FakeDevice()
    kernels = sequences.kernels(device, level=1)
    for mode in ("strict", "fast"):
        with precision(mode):
            train(kernels, "rnn")
    assert len({launch.kernel.configuration for launch in device.launches}) == 1


# ---- errors --------------------------------------------------------------------------------------------------------


def test_a_kernel_that_stopped_waiting_is_an_error_at_the_next_call():
    device = FakeDevice()
    kernels = sequences.kernels(device)
    *_, cache = kernels.rnn.forward(*arguments("rnn"))
    device.gave_up = True
    with pytest.raises(RuntimeError, match=r"stopped waiting .* MINIRNN_CUDA_LEVEL=2"):
        kernels.rnn.backward(None, None, cache)
    kernels.rnn.backward(None, None, cache)  # the cache was not consumed, and the error is raised once
    for call in (kernels.rnn.forward, kernels.rnn.inference):
        device.gave_up = True
        with pytest.raises(RuntimeError, match="stopped waiting"):
            call(*arguments("rnn"))
    device.gave_up = True
    x, *others = arguments("rnn")
    with pytest.raises(RuntimeError, match="stopped waiting"):
        kernels.rnn.step(x[0], *others)


def test_accepted_arrays():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    accepts = sequences.kernels(FakeDevice()).accepts
    for dtype in (np.float32, np.float64, np.float16, bfloat16):
        assert accepts(np.zeros(1, dtype), np.zeros((2, 3), dtype))
    assert not accepts(np.zeros(1, np.float32), np.zeros(1))
    assert not accepts(np.zeros(1, np.int32))
    assert not accepts(np.zeros(1, np.complex64))
    assert not accepts(np.zeros(1, np.dtype(np.float32).newbyteorder()))  # kernels read native byte order
    assert not accepts([1.0])


class Elsewhere(np.ndarray):
    """An array whose `device` is another device."""

    device = "<CUDA Device 1>"


def test_arrays_of_two_devices_are_a_clear_error():
    device = FakeDevice()
    accepts = sequences.kernels(device).accepts
    here, other = np.zeros(1, np.float32), np.zeros(1, np.float32).view(Elsewhere)
    assert not accepts(other)
    with pytest.raises(
        TypeError, match="arguments are on different devices: cpu and tests; move them to the same one first"
    ):
        accepts(here, other)
    device.home = "<CUDA Device 1>"
    with pytest.raises(TypeError, match="the arrays are on cpu while <CUDA Device 1> is the current device"):
        accepts(here)


def test_an_unknown_nonlinearity_is_an_error():
    kernels = sequences.kernels(FakeDevice())
    x, *others = arguments("rnn")
    for call in (
        lambda: kernels.rnn.forward(x, *others, nonlinearity="sin"),
        lambda: kernels.rnn.inference(x, *others, nonlinearity="sin"),
        lambda: kernels.rnn.step(x[0], *others, nonlinearity="sin"),
        lambda: kernels.gates.rnn.forward(others[0], "sin"),
    ):
        with pytest.raises(ValueError, match="nonlinearity is 'sin'"):
            call()
