"""A fake CUDA device (the protocol of `cuda/device.py`) on NumPy arrays: it records launches and computes no kernels.

tests/kernels/cuda/emulation/emulated_device.py has a subclass that runs the kernels, compiled by g++.
"""

import ctypes
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minirnn_kernels.cuda.device import Kernel, Properties


@dataclass
class RecordedLaunch:
    """The arguments of one launch."""

    kernel: Kernel
    grid: tuple[int, int]
    args: tuple[Any, ...]
    cooperative: bool
    record: Any = None  # a copy of the record PASS at the time of the launch, for source "sequence"
    flags: Any = None  # a copy of its flags at that time


class GuardedModule:
    """NumPy as the module `xp` of a device: its functions may not be called while a graph is captured."""

    def __init__(self, device: "FakeDevice") -> None:
        self._device = device

    def empty(self, shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
        """Return an array that no kernel will fill: zeros, or 99 for integers, so that missing writes of flags show."""
        self._device.not_in_capture("xp.empty")
        return np.full(shape, 99 if np.issubdtype(dtype, np.integer) else 0, dtype, order)

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)
        if isinstance(function, type) or not callable(function):
            return function

        def guarded(*args: Any, **kwargs: Any) -> Any:
            self._device.not_in_capture(f"xp.{name}")
            return self.result(function(*args, **kwargs), (*args, *kwargs.values()))

        return guarded

    def result(self, made: Any, given: tuple[Any, ...]) -> Any:
        """Return the result of a NumPy function for these arguments."""
        return made


class FakeDevice:
    """A device that records its calls. Capturing is per thread, as in CUDA."""

    module = GuardedModule

    def __init__(self, properties: Properties | None = None, *, blocks: int = 132) -> None:
        self.properties = Properties() if properties is None else properties
        self.blocks = blocks  # the result of blocks_at_once
        self.home = "cpu"
        self.gave_up = False  # what `failed` returns next
        self.launches: list[RecordedLaunch] = []  # in the order of execution
        self.keys: list[Hashable] = []  # of the captured graphs
        self.products: list[tuple[Any, ...]] = []  # shapes, dtype and precision of each product
        self.replays = 0
        self.xp = self.module(self)
        self._thread = threading.local()
        self._error = self.xp.zeros(1, np.int32)

    # ---- capture ----

    @property
    def _captured(self) -> list[Callable[[], None]] | None:
        return getattr(self._thread, "captured", None)

    def not_in_capture(self, call: str) -> None:
        """Raise RuntimeError while a graph is captured: a capture may only launch kernels."""
        if self._captured is not None:
            raise RuntimeError(f"{call} in the capture of a graph")

    def graph(self, key: Hashable, capture: Callable[[], None]) -> Callable[[], None]:
        self.not_in_capture("graph")
        assert key not in self.keys, f"the key {key} was used twice"
        self.keys.append(key)
        self._thread.captured = captured = []
        try:
            capture()
        finally:
            self._thread.captured = None

        def replay() -> None:
            self.replays += 1
            for launch in captured:
                launch()

        return replay

    def stream(self) -> Hashable:
        return 0

    # ---- launches ----

    def launch(self, kernel: Kernel, grid: tuple[int, int], args: Sequence[Any], *, cooperative: bool = False) -> None:
        run = self.prepared(kernel, grid, args, cooperative)
        if self._captured is None:
            run()
        else:
            self._captured.append(run)

    def prepared(
        self, kernel: Kernel, grid: tuple[int, int], args: Sequence[Any], cooperative: bool
    ) -> Callable[[], None]:
        """Return a function that executes a launch."""
        launch = RecordedLaunch(kernel, grid, tuple(args), cooperative)
        return lambda: self._note(launch)

    def _note(self, launch: RecordedLaunch) -> None:
        """Record a launch with the current contents of its record. The kernel `advance` is executed."""
        if launch.kernel.source == "sequence":
            record = launch.args[0]
            launch = replace(launch, record=record.copy())
            if launch.kernel.name == "advance":
                record["base"] += launch.args[1]
            if address := int(launch.record["flags"]):
                blocks = launch.grid[0] * launch.grid[1]
                flags = np.ctypeslib.as_array((ctypes.c_int32 * blocks).from_address(address))
                launch.flags = flags.copy()
                flags[...] = 7  # as after a kernel
        self.launches.append(launch)

    def blocks_at_once(self, kernel: Kernel) -> int:
        return self.blocks

    def failed(self) -> bool:
        failed, self.gave_up = self.gave_up, False
        return failed

    @property
    def error_word(self) -> int:
        return self.address(self._error)

    # ---- arrays ----

    def matmul(self, a: Any, b: Any, out: Any = None, *, dtype: Any = None, precision: str = "strict") -> Any:
        self.not_in_capture("matmul")
        self.products.append((a.shape, b.shape, a.dtype.name, precision))
        if out is None:
            out = self.xp.empty((a.shape[0], b.shape[1]), dtype or a.dtype)
        out[...] = self.multiply(a, b, precision)
        return out

    def multiply(self, a: Any, b: Any, precision: str) -> Any:
        return a @ b

    def record(self, values: Any, into: Any = None) -> Any:
        self.not_in_capture("record")
        if into is None:
            into = self.xp.zeros((), np.asarray(values).dtype)
        into[...] = values
        return into

    def address(self, array: Any) -> int:
        return 0 if array is None else int(array.ctypes.data)
