"""What the host logic of the CUDA kernels needs of a device: a protocol.

`cuda/sequences.py` is written against it and runs with any of: a GPU through CuPy (`cuda/cupy_device.py`), the kernels
compiled for the CPU, and a fake that only notes what is asked of it (both in the tests). Work is asynchronous where the
device is: what is asked for is done later, in the order of the asking, on the calling thread's stream.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from minirnn_kernels.cuda.source import Configuration

Array = Any  # an array of the device's module


@dataclass(frozen=True)
class Properties:
    """What plans and estimates read of a device. Bandwidths are in bytes a second; the defaults are an H100's (SXM)."""

    name: str = "H100"
    architecture: int = 90  # compute capability, times ten
    multiprocessors: int = 132
    shared_bytes: int = 232_448  # dynamic shared memory that one block can have
    clock: float = 1.8e9  # cycles a second of a multiprocessor
    bandwidth: float = 3.3e12  # of the memory
    l2_bandwidth: float = 5.5e12  # of the second-level cache
    l2_bytes: int = 50 << 20

    @property
    def largest_cluster(self) -> int:
        """How many blocks a thread-block cluster can have: 8 is what every device that knows clusters can do."""
        return 8 if self.architecture >= 90 else 1


class Graph(Protocol):
    """Launches that have been captured, to be asked for all at once."""

    def replay(self) -> None:
        """Do them again, on the calling thread's stream."""


class Device(Protocol):
    """Where the kernels run."""

    @property
    def xp(self) -> Any:
        """The array module: `numpy`, `cupy`, or what has their functions."""

    @property
    def home(self) -> Any:
        """What `array.device` is for arrays that this device computes with at the moment."""

    @property
    def properties(self) -> Properties:
        """Of the current device."""

    def matmul(
        self, a: Array, b: Array, out: Array | None = None, *, dtype: Any = None, precision: str = "strict"
    ) -> Array:
        """The product of a (M, K) and b (K, N), summed in float32 at least: (M, N), filled into `out` if that is given.

        The result's dtype is that of `out`, else `dtype`, else that of a: for 16-bit a and b it may also be float32.
        Any strides of a and b; `out` has unit stride in its last axis. Sizes may be 0: a sum over nothing is 0.
        precision, for float32: "strict" rounds as float32 does, "high" too (or nearly), "fast" may use TF32.
        """

    def launch(
        self,
        configuration: Configuration,
        source: str,
        kernel: str,
        grid: tuple[int, int],
        block: int,
        shared_bytes: int,
        args: Sequence[Any],
        cooperative: bool = False,
    ) -> None:
        """Launch a kernel of source "gates" or "sequence", with grid (x, y) blocks of `block` threads each.

        args: arrays (the address of their first entry), None (a null pointer), NumPy scalars of int32 or int64.
        cooperative: all blocks run at the same time and may wait for each other; no more than `blocks_at_once`.
        """

    def blocks_at_once(
        self, configuration: Configuration, source: str, kernel: str, block: int, shared_bytes: int
    ) -> int:
        """How many blocks of a kernel the whole device holds at the same time."""

    def record(self, values: Any, into: Array | None = None) -> Array:
        """A NumPy scalar of a structured dtype as bytes on the device: a new array of uint8, or one made before."""

    def address(self, array: Array | None) -> int:
        """Where an array's first entry lies, for a record; 0 for None."""

    @property
    def error_word(self) -> int:
        """The address, for kernels, of the int that a kernel sets when it gives up waiting."""

    def graph(self, key: Hashable, capture: Callable[[], None]) -> Graph:
        """What `capture` launches, as a graph, and not yet done. Keys are never used twice: the asker keeps the graph.

        `capture` allocates nothing, and its arrays have to live as long as the graph.
        """

    def stream(self) -> Hashable:
        """Which stream the calling thread's work goes to."""

    def failed(self) -> bool:
        """Whether a kernel has given up waiting since this was last asked; doesn't wait for kernels that still run."""
