"""The layout of a pass over a sequence on a device: which blocks compute what, and what they keep in shared memory.

A `Work` is a pass of known size, a `PassPlan` is one way to run it, and `plans` returns all of them. `PASS` is the
record that the sequence kernels read: the C++ struct Pass of src/sequence.cu as a NumPy dtype. Everything here is
arithmetic on sizes and the properties of a device.

A *team* of blocks computes a tile of 16 rows of the batch. Each of its blocks owns `units` hidden units. These are
`rows` rows of the matrix that the block multiplies with: W_hh in the forward pass, its transpose in the backward pass.
The block needs all K entries of the state: h in the forward pass, with K = H, and da in the backward pass, with
K = products * H. The shared memory of a block has three parts, each of which begins at a multiple of 16 bytes:

    W        [rows][W_pitch]         all K columns if `resident`, otherwise the `chunk` of columns in use
    state    [16][state_pitch]       `chunk` columns
    partial  [splits][16][rows]      sums over parts of k, in the type of sums; the pitch is rows + 8 if rows is a
                                     multiple of 32

The columns of the state are divided into `splits` parts, so that (units / 8) * splits jobs keep the 8 warps of a block
busy.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minirnn_kernels.arithmetic import ceil_div, round_up
from minirnn_kernels.cell import GRU, Cell
from minirnn_kernels.cuda.device import Array, Kernel, Properties
from minirnn_kernels.cuda.source import CUDA_CELLS, KernelConfiguration

THREADS = 256  # per block: 8 warps
TILE = 16  # rows of the batch that a team computes together
UNIT_MULTIPLE = 8  # the number of units of a block is a multiple of this
MOST_TILES = 65_535  # the largest grid in y, in blocks
STREAMED = 256  # columns per chunk of a streamed W: more would leave room for fewer blocks, fewer would wait more often

_INTS = ("T", "B", "H", "units", "chunk", "splits", "resident", "grid", "training", "relu", "base", "spin_limit")
ARRAYS = ("gates", "W_hh", "bias", "h", "c", "lengths", "dout", "dh_n", "dc_n", "carry", "da", "dh0")
_POINTERS = (*ARRAYS, "flags", "error")
PASS = np.dtype([(name, np.int32) for name in _INTS] + [(name, np.uint64) for name in _POINTERS], align=True)

# Polls before a kernel stops waiting for another block: several seconds, a thousand times the longest step.
SPIN_LIMIT = 20_000_000


@dataclass(frozen=True)
class UnitLayout:
    """The values of one hidden unit in the array `gates`."""

    blocks: int  # values in `gates`
    products: int  # the number of them that receive a part of h W_hh^T
    first: int  # the index of the first of these


# The GRU has a fourth value, q, and n comes first: n, r, z, q. q = W_hn h + b_hn is the part of n that r multiplies, so
# that the product with W_hh adds to r, z and q but not to n.
_UNIT_LAYOUTS = {
    cell.name: UnitLayout(len(cell.gates) + (cell is GRU), len(cell.gates), int(cell is GRU)) for cell in CUDA_CELLS
}


def unit_layout(cell: Cell) -> UnitLayout:
    """Return the layout of the units of a cell."""
    return _UNIT_LAYOUTS[cell.name]


@dataclass(frozen=True)
class Storage:
    """A type in which arrays are stored."""

    name: str  # in CUDA C++
    dtype: str  # in NumPy
    bytes: int  # of one number
    accumulate: Any  # the NumPy type of sums and gates

    @property
    def accumulate_bytes(self) -> int:
        """The size of one number of type `accumulate`."""
        return int(np.dtype(self.accumulate).itemsize)


STORAGES = {
    storage.dtype: storage
    for storage in (
        Storage("float", "float32", 4, np.float32),
        Storage("double", "float64", 8, np.float64),
        Storage("half", "float16", 2, np.float32),
        Storage("bf16", "bfloat16", 2, np.float32),
    )
}


def storage_of(a: Array) -> Storage:
    """Return the storage type of an array."""
    return STORAGES[a.dtype.name]


def product(storage: Storage, precision: str) -> str:
    """Return the kind of product that a kernel computes: FMA, TF32X3, TF32 or MMA16."""
    if storage.name == "float":
        return {"strict": "FMA", "high": "TF32X3", "fast": "TF32"}[precision]
    return "FMA" if storage.name == "double" else "MMA16"


@dataclass(frozen=True)
class Work:
    """A pass over sequences: everything that its plan depends on."""

    cell: Cell
    storage: Storage
    T: int
    B: int
    H: int
    backward: bool = False
    product: str = "FMA"

    @property
    def unit(self) -> UnitLayout:
        """The layout of the cell's units."""
        return unit_layout(self.cell)

    @property
    def kernel(self) -> str:
        """The name of the kernel in src/sequence.cu."""
        return "backward" if self.backward else "forward"

    @property
    def steps(self) -> int:
        """The number of steps: one for each time step, and one more in the backward pass, for dh0."""
        return self.T + self.backward

    @property
    def tiles(self) -> int:
        """The number of tiles in the batch."""
        return ceil_div(self.B, TILE)

    @property
    def K(self) -> int:
        """The number of entries of the state that is multiplied."""
        return self.unit.products * self.H if self.backward else self.H

    def rows(self, units: int) -> int:
        """Return how many rows of the matrix belong to a block with this many units."""
        return units if self.backward else self.unit.products * units

    @property
    def weight_bytes(self) -> int:
        """The size of W_hh."""
        return self.unit.products * self.H * self.H * self.storage.bytes


@dataclass(frozen=True)
class PassPlan:
    """One way to run a pass."""

    level: int  # 1: cuBLAS and gates, step by step; 2: one launch per step, replayed as graphs; 3: a single launch
    team: str = ""  # the group that shares the units of a tile at level 3: "block", "cluster" or "grid"
    cluster: int = 1  # blocks in a cluster
    units: int = 0  # hidden units per block
    chunk: int = 0  # columns of the state in shared memory at a time
    splits: int = 1  # parts of a sum over k
    resident: bool = False  # whether W_hh stays in shared memory
    shared_bytes: int = 0  # per block
    grid: tuple[int, int] = (0, 0)  # blocks in x, which form a team, and in y

    @property
    def cooperative(self) -> bool:
        """Whether blocks wait for each other and the hardware does not start them together by itself."""
        return self.team == "grid"

    @property
    def blocks(self) -> int:
        """The number of blocks in the whole grid."""
        return self.grid[0] * self.grid[1]

    def kernel(self, work: Work) -> Kernel:
        """Return the sequence kernel that computes a pass at level 2 or 3."""
        configuration = KernelConfiguration(work.cell.title, work.storage.name, work.product, self.cluster)
        return Kernel(configuration, "sequence", work.kernel, THREADS, self.shared_bytes)

    def __str__(self) -> str:
        """Return the line that `doctor` and `bench` print."""
        if self.level == 1:
            return "level 1, cuBLAS and gates step by step"
        weights = "resident" if self.resident else "streamed"
        team = {"": "graphs of steps", "block": "single block", "cluster": f"cluster of {self.cluster}"}.get(
            self.team, f"grid of {self.grid[0]} x {self.grid[1]} blocks"
        )
        return f"level {self.level}, {team}, {self.units} units a block, weights {weights}"


def plans(work: Work, properties: Properties) -> dict[str, PassPlan | str]:
    """Return every way to run a pass with B > 0, by name; an impossible way has the reason instead of a plan.

    The names are "1", "2" and the teams of level 3: "block", "cluster 2", "cluster 4", "cluster 8" and "grid". A reason
    reads "needs ..., there is ...".
    """
    found: dict[str, PassPlan | str] = {"1": PassPlan(1)}
    for name, make in _MAKERS.items():
        try:
            found[name] = make(work, properties)
        except ValueError as error:
            found[name] = str(error)
    return found


def _cluster(cluster: int, work: Work, properties: Properties) -> PassPlan:
    """Plan a team that is one block or one thread-block cluster: W_hh and the whole state are in shared memory."""
    if cluster > properties.largest_cluster:
        raise ValueError(f"needs clusters (compute capability 9.0), there is {properties.architecture / 10}")
    if work.tiles > MOST_TILES:
        raise ValueError(f"needs a tile for each {TILE} rows, there are {MOST_TILES} at most and B = {work.B}")
    units = round_up(ceil_div(work.H, cluster), UNIT_MULTIPLE)
    sizes = [(round_up(work.K, 16 * splits), splits, True) for splits in _splits(work, units)]
    buffers = _first_that_fits(work, properties, units, sizes)
    if buffers is None:
        raise ValueError(_too_small(shared_bytes(work, units, *sizes[-1]), properties))
    return PassPlan(3, "block" if cluster == 1 else "cluster", cluster, units, *buffers, (cluster, work.tiles))


def _by_units(level: int, work: Work, properties: Properties) -> PassPlan:
    """Plan level 2, or the teams of level 3 that exchange states through global memory, with the best number of units.

    At level 2, blocks need not run at the same time. At level 3 they must: there is one team of as many blocks as the
    device has multiprocessors, or several smaller teams. Prefer weights that stay on the chip, then the least work for
    a multiprocessor, then the fewest blocks.
    """
    cores, ranked = properties.multiprocessors, []
    for units in range(UNIT_MULTIPLE, round_up(work.H, UNIT_MULTIPLE) + 1, UNIT_MULTIPLE):
        x = ceil_div(work.H, units)
        y = min(work.tiles, MOST_TILES if level == 2 else cores // x)
        if y and (buffers := _chunked(work, properties, units, resident=level == 3)):
            y = ceil_div(work.tiles, ceil_div(work.tiles, y))  # as many rounds with fewer blocks
            plan = PassPlan(level, "grid" if level == 3 else "", 1, units, *buffers, (x, y))
            rounds = ceil_div(work.tiles, y) * ceil_div(plan.blocks, cores)
            ranked.append(((not plan.resident, rounds * units, plan.blocks), plan))
    if not ranked:
        fewest = UNIT_MULTIPLE if level == 2 else round_up(ceil_div(work.H, cores), UNIT_MULTIPLE)
        raise ValueError(_too_small(shared_bytes(work, fewest, 16, 1, False), properties))
    return min(ranked, key=lambda pair: pair[0])[1]


_MAKERS = {
    "2": partial(_by_units, 2),
    "block": partial(_cluster, 1),
    "cluster 2": partial(_cluster, 2),
    "cluster 4": partial(_cluster, 4),
    "cluster 8": partial(_cluster, 8),
    "grid": partial(_by_units, 3),
}


# ---- shared memory -------------------------------------------------------------------------------------------------

Buffers = tuple[int, int, bool, int]  # chunk, splits, resident and shared_bytes of a PassPlan


def shared_bytes(work: Work, units: int, chunk: int, splits: int, resident: bool) -> int:
    """Return the size of a block's dynamic shared memory."""
    S, rows = work.storage.bytes, work.rows(units)
    columns = round_up(work.K, chunk) if resident else chunk
    parts = (
        rows * _pitch(columns, S) * S,
        TILE * _pitch(chunk, S) * S,
        splits * TILE * (rows if rows % 32 else rows + 8) * work.storage.accumulate_bytes,
    )
    return sum(round_up(part, 16) for part in parts)


def _pitch(columns: int, item: int) -> int:
    """Return the distance between rows, in entries of `item` bytes.

    It is a whole number of lines of 128 bytes plus 16 bytes, so that successive rows begin in different banks.
    """
    return round_up(columns, 128 // item) + 16 // item


def _chunked(work: Work, properties: Properties, units: int, resident: bool = True) -> Buffers | None:
    """Return the buffers of a block with this many units, with resident weights if allowed and possible; else None."""
    splits = _splits(work, units)
    sizes = [(round_up(ceil_div(work.K, parts), 16 * s), s, True) for s in splits for parts in range(1, 9)]
    return _first_that_fits(work, properties, units, sizes if resident else ()) or _first_that_fits(
        work, properties, units, ((chunk, s, False) for s in splits for chunk in _streamed_chunks(work, s))
    )


def _streamed_chunks(work: Work, splits: int) -> Iterator[int]:
    """Yield the sizes of a chunk of streamed weights, the largest first."""
    chunk = min(round_up(work.K, 16 * splits), max(STREAMED, 16 * splits))
    while chunk:
        yield chunk
        chunk = chunk // 2 // (16 * splits) * (16 * splits)


def _first_that_fits(
    work: Work, properties: Properties, units: int, sizes: Iterable[tuple[int, int, bool]]
) -> Buffers | None:
    """Return the first of some (chunk, splits, resident) that fit into shared memory, with their size, or None."""
    for size in sizes:
        needed = shared_bytes(work, units, *size)
        if needed <= properties.shared_bytes:
            return *size, needed
    return None


def _splits(work: Work, units: int) -> list[int]:
    """Return the possible numbers of parts of the sum over k, the best first: enough parts to keep every warp busy."""
    best = 1
    while best < 8 and units // UNIT_MULTIPLE * best < 8 and 16 * best < work.K:
        best *= 2
    return [s for s in (8, 4, 2, 1) if s <= best]


def _too_small(needed: int, properties: Properties) -> str:
    return f"needs {needed:,} bytes of shared memory a block, there are {properties.shared_bytes:,}"
