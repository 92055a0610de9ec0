"""The protocol of a device: everything that the host logic of the CUDA kernels needs.

`cuda/sequences.py` is written against this protocol and runs on a GPU through CuPy (`cuda/cupy_device.py`), and in the
tests on the CPU, where the kernels are compiled by g++, and on a fake device that only records calls. Work can be
asynchronous: the device does it later, in the order of the calls, on the stream of the calling thread.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from minirnn_kernels.cuda.source import KernelConfiguration

Array = Any  # an array of the module Device.xp


@dataclass(frozen=True)
class Properties:
    """The properties of a device that plans and cost estimates read. The defaults are those of an H100 (SXM)."""

    name: str = "H100"
    architecture: int = 90  # compute capability times ten
    multiprocessors: int = 132
    shared_bytes: int = 232_448  # the maximum dynamic shared memory of one block
    clock: float = 1.8e9  # cycles per second of a multiprocessor
    bandwidth: float = 3.3e12  # bytes per second from the device's memory
    l2_bandwidth: float = 5.5e12  # bytes per second from the L2 cache
    l2_bytes: int = 50 << 20  # size of the L2 cache

    @property
    def largest_cluster(self) -> int:
        """The maximum number of blocks in a cluster: 8, the portable limit, or 1 on devices without clusters."""
        return 8 if self.architecture >= 90 else 1


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel and the size of its blocks."""

    configuration: KernelConfiguration  # the module that contains the kernel
    source: str  # "gates" or "sequence"
    name: str  # of the function in the source
    threads: int  # per block
    shared_bytes: int = 0  # dynamic shared memory per block


class Device(Protocol):
    """A device that runs the kernels."""

    @property
    def xp(self) -> Any:
        """The array module: `numpy`, `cupy`, or a module with the same functions."""

    @property
    def home(self) -> Any:
        """The value of `array.device` for arrays on the current device."""

    @property
    def properties(self) -> Properties:
        """The properties of the current device."""

    def matmul(
        self, a: Array, b: Array, out: Array | None = None, *, dtype: Any = None, precision: str = "strict"
    ) -> Array:
        """Return the product of a (M, K) and b (K, N), summed in at least float32: (M, N), written to `out` if given.

        The dtype of the result is that of `out`, otherwise `dtype`, otherwise that of a. For 16-bit a and b the result
        can also be float32. a and b can have any strides; the last axis of `out` has unit stride. Sizes can be 0: an
        empty sum is 0. For float32, precision "strict" rounds as float32 does, "high" at least nearly so, and "fast"
        may use TF32.
        """

    def launch(self, kernel: Kernel, grid: tuple[int, int], args: Sequence[Any], *, cooperative: bool = False) -> None:
        """Launch a kernel with a grid of (x, y) blocks.

        args: arrays (passed as the address of their first entry), None (a null pointer), or NumPy scalars of int32 or
        int64. cooperative: all blocks run at the same time and may wait for each other; the grid has at most
        `blocks_at_once(kernel)` blocks.
        """

    def blocks_at_once(self, kernel: Kernel) -> int:
        """Return how many blocks of a kernel the whole device can run at the same time."""

    def record(self, values: Any, into: Array | None = None) -> Array:
        """Copy a NumPy scalar of a structured dtype to the device: to a new array of uint8, or into an existing one."""

    def address(self, array: Array | None) -> int:
        """Return the address of the first entry of an array, or 0 for None."""

    @property
    def error_word(self) -> int:
        """The address of the int that a kernel sets if it stops waiting for other blocks."""

    def graph(self, key: Hashable, capture: Callable[[], None]) -> Callable[[], None]:
        """Record the launches of `capture`, and return a function that launches all of them at once.

        The launches go to the stream of the thread that calls the function. `capture` allocates nothing, and the arrays
        that it uses must live as long as the graph. Each key is used once.
        """

    def stream(self) -> Hashable:
        """Return an identifier of the stream of the calling thread."""

    def failed(self) -> bool:
        """Return whether a kernel has stopped waiting since the last call. Does not wait for running kernels."""
