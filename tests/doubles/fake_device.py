"""A device that notes what it is asked for: its arrays are NumPy's, its kernels do nothing. And works to plan for."""

import ctypes
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minirnn_kernels.cuda.device import Properties
from minirnn_kernels.cuda.sequence_pass import GRU, LSTM, PASS, RNN, STORAGES, Work

A100 = Properties("A100", 80, 108, 166_912, clock=1.41e9, bandwidth=1.5e12, l2_bandwidth=3.6e12, l2_bytes=40 << 20)


def works_of(B, H):
    """Passes of any cell and type, with at most so many rows and units."""
    return st.builds(
        Work,
        cell=st.sampled_from([RNN, LSTM, GRU]),
        storage=st.sampled_from(list(STORAGES.values())),
        T=st.integers(1, 300),
        B=st.integers(1, B),
        H=st.integers(1, H),
        backward=st.booleans(),
    )


@dataclass
class Launch:
    """What a kernel was launched with; `record` is its Pass and `flags` what stood in its flags at that time."""

    configuration: Any
    source: str
    kernel: str
    grid: tuple[int, int]
    block: int
    shared_bytes: int
    args: tuple[Any, ...]
    cooperative: bool
    record: Any = None
    flags: Any = None


@dataclass
class FakeGraph:
    """Launches that were captured."""

    device: "FakeDevice"
    launches: list[Launch]

    def replay(self):
        self.device.replays += 1
        for launch in self.launches:
            self.device.run(launch)


def _empty(shape, dtype=float):
    """No kernel fills what is empty: numbers that can be computed with, and integers that are not zero."""
    return np.full(shape, 99 if np.issubdtype(dtype, np.integer) else 0, dtype)


class Words:
    """NumPy; in a capture nothing may be allocated."""

    def __init__(self, device):
        self._device = device

    def __getattr__(self, name):
        word = _empty if name == "empty" else getattr(np, name)
        if isinstance(word, type):
            return word

        def asked(*args, **kwargs):
            assert not self._device.capturing, f"np.{name} in the capture of a graph"
            return word(*args, **kwargs)

        return asked


@dataclass
class FakeDevice:
    """The protocol of `cuda_device.Device`. blocks: how many fit at once; gave_up: what `failed` says next."""

    properties: Properties = field(default_factory=Properties)
    blocks: int = 132
    gave_up: bool = False
    launches: list[Launch] = field(default_factory=list)  # in the order in which they would run
    keys: list[Hashable] = field(default_factory=list)  # of the graphs that were captured
    products: list[tuple[Any, ...]] = field(default_factory=list)  # shapes, dtypes, precision
    replays: int = 0
    home: str = "cpu"

    def __post_init__(self):
        self.xp = Words(self)
        self._thread = threading.local()
        self.error = np.zeros(1, np.int32)
        self.error_word = self.error.ctypes.data

    @property
    def capturing(self):
        return getattr(self._thread, "captured", None) is not None

    def matmul(self, a, b, out=None, *, dtype=None, precision="strict"):
        assert not self.capturing, "a product in the capture of a graph"
        self.products.append((a.shape, b.shape, a.dtype.name, precision))
        if out is None:
            out = np.zeros((a.shape[0], b.shape[1]), dtype or a.dtype)
        out[...] = a @ b
        return out

    def launch(self, configuration, source, kernel, grid, block, shared_bytes, args, cooperative=False):
        launch = Launch(configuration, source, kernel, grid, block, shared_bytes, tuple(args), cooperative)
        if self.capturing:
            self._thread.captured.append(launch)
        else:
            self.run(launch)

    def run(self, launch):
        """Note a launch, with the record as it is now; `advance` does what it should."""
        if launch.source == "sequence":
            record = launch.args[0]
            launch = Launch(**{**launch.__dict__, "record": record.copy()})
            if launch.kernel == "advance":
                record["base"] += launch.args[1]
            if int(launch.record["flags"]):
                blocks = launch.grid[0] * launch.grid[1]
                flags = np.ctypeslib.as_array((ctypes.c_int32 * blocks).from_address(int(launch.record["flags"])))
                launch.flags = flags.copy()
                flags[...] = 7  # what a kernel leaves behind
        self.launches.append(launch)

    def blocks_at_once(self, configuration, source, kernel, block, shared_bytes):
        return self.blocks

    def record(self, values, into=None):
        assert not self.capturing, "a record in the capture of a graph"
        if into is None:
            into = np.empty((), PASS)
        into[...] = values
        return into

    def address(self, array):
        return 0 if array is None else array.ctypes.data

    def graph(self, key, capture):
        assert key not in self.keys, "a key was used twice"
        self.keys.append(key)
        self._thread.captured = []
        try:
            capture()
            return FakeGraph(self, self._thread.captured)
        finally:
            self._thread.captured = None

    def stream(self):
        return 0

    def failed(self):
        failed, self.gave_up = self.gave_up, False
        return failed
