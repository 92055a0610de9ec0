"""A device for `cuda/sequences.py` that runs the CUDA sources on the CPU."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn_kernels.cuda import source as cuda_source
from minirnn_kernels.cuda.device import Kernel, Properties
from minirnn_kernels.cuda.source import KernelConfiguration
from tests.doubles.fake_device import FakeDevice, GuardedModule
from tests.kernels.cuda.emulation.library import RESIDENT, EmulatedLaunch, LaunchError, Library, build, pack
from tests.kernels.cuda.emulation.memory import Memory


def text_and_options(configuration: KernelConfiguration, name: str) -> tuple[str, Sequence[str]]:
    """Return a source and the compiler options of a configuration."""
    return cuda_source.text(name), cuda_source.options(configuration)


class _Arrays(GuardedModule):
    """NumPy; the arrays that it makes are between guard zones."""

    _device: "EmulatedDevice"

    def empty(self, shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
        self._device.not_in_capture("xp.empty")
        return self._device.memory.empty(shape, dtype, order)

    def empty_like(self, array: np.ndarray, dtype: Any = None) -> np.ndarray:
        return self.empty(array.shape, dtype or array.dtype)

    def result(self, made: Any, given: tuple[Any, ...]) -> Any:
        """Return the result of a NumPy function, copied between guard zones if it is a new array."""
        is_new = isinstance(made, np.ndarray) and made.flags.owndata and not any(made is value for value in given)
        return self._device.memory.own(made) if is_new else made


class EmulatedDevice(FakeDevice):
    """A device that runs kernels on the CPU. A graph keeps no array alive, as in CUDA.

    seed: determines the order of the threads; the seed of each launch is derived from it. blocks: the maximum number of
    blocks of a cooperative launch. source: a function (configuration, name) -> text, options, by default
    `text_and_options`.
    """

    module = _Arrays

    def __init__(
        self,
        properties: Properties | None = None,
        *,
        seed: int = 0,
        blocks: int = 64,
        source: Callable[[Any, str], tuple[str, Sequence[str]]] = text_and_options,
    ) -> None:
        self.memory = Memory()
        self.seed = seed
        self.log: list[str] = []  # the names of the kernels, in the order of execution
        self._source = source
        self._libraries: dict[Any, Library] = {}
        super().__init__(properties, blocks=blocks)

    def prepared(
        self, kernel: Kernel, grid: tuple[int, int], args: Sequence[Any], cooperative: bool
    ) -> Callable[[], None]:
        """Compile the kernel, check the size of the launch, and return a function that runs it."""
        key = kernel.configuration, kernel.source
        if key not in self._libraries:
            self._libraries[key] = build(*self._source(*key))
        library, name = self._libraries[key], kernel.name
        blocks, limit = grid[0] * grid[1], self.properties.shared_bytes
        if kernel.shared_bytes > limit:
            raise LaunchError(f"{name}: {kernel.shared_bytes:,} bytes of shared memory, a block can have {limit:,}")
        if cooperative and blocks > self.blocks_at_once(kernel):
            raise LaunchError(f"{name}: a cooperative launch of {blocks} blocks, {self.blocks} can run at once")
        packed = pack(args)

        def run() -> None:
            self.log.append(name)
            seed = self.seed * 1_000_003 + len(self.log)
            launch = EmulatedLaunch(
                name,
                grid,
                kernel.threads,
                kernel.shared_bytes,
                cluster=getattr(kernel.configuration, "cluster", 1),
                at_once=blocks if cooperative else RESIDENT,
                seed=seed,
            )
            library.run(launch, packed)
            self.memory.check(f"{name}, seed {seed}")

        return run

    def multiply(self, a: np.ndarray, b: np.ndarray, precision: str) -> np.ndarray:
        """Return a b, summed in float64; with "fast", float32 factors are rounded to TF32 first."""
        if precision == "fast" and a.dtype == np.float32:
            a, b = to_tf32(a), to_tf32(b)
        with np.errstate(all="ignore"):
            return a.astype(np.float64) @ b.astype(np.float64)

    def failed(self) -> bool:
        """Return whether a kernel has set the error word since the last call."""
        failed = bool(self._error[0])
        self._error[...] = 0
        return failed


def to_tf32(x: np.ndarray) -> np.ndarray:
    """Return float32 numbers rounded to 10 bits of mantissa, ties away from zero."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return np.where(np.isfinite(x), rounded.view(np.float32), x)
