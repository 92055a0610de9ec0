"""The record that the sequence kernels read, and how a pass over a sequence is laid out on a device.

`PASS` is the C++ struct Pass of cuda/sequence.cu as a NumPy dtype. A `Plan` says how many blocks share the hidden
units, and what each of them keeps in shared memory. Everything here is arithmetic on sizes and a device's properties.

A *team* of blocks computes a tile of 16 rows of the batch; each of its blocks owns `units` hidden units, which are
`rows` rows of the matrix that it multiplies with (forward W_hh, backward its transpose), and needs all K entries of the
state (forward h, K = H; backward da, K = products * H). A block's shared memory, each part beginning at a multiple of
16 bytes:

    W        [rows][W_pitch]         all K columns if `resident`, else the `chunk` of them that is at work
    state    [16][state_pitch]       `chunk` columns
    partial  [splits][16][rows]      sums over a part of k each, in the accumulator's type; rows 8 apart where their
                                     number is a multiple of 32

The state's columns are cut into `splits` parts, so that (units / 8) * splits jobs keep the 8 warps of a block busy.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn_kernels.cuda.device import Properties

THREADS = 256  # of a block, in 8 warps
TILE = 16  # rows of the batch that a team computes together
UNITS = 8  # the least number of units, and what it is a multiple of
MOST_TILES = 65_535  # blocks in y that a grid can have

_INTS = ("T", "B", "H", "units", "chunk", "splits", "resident", "grid", "training", "relu", "base", "spin_limit")
_STATES = ("gates", "W", "bias", "h", "c", "lengths", "dout", "dh_n", "dc_n", "carry", "da", "dh0")
_POINTERS = (*_STATES, "flags", "error")
PASS = np.dtype([(name, np.int32) for name in _INTS] + [(name, np.uint64) for name in _POINTERS], align=True)

# Rounds of waiting for another block until a kernel gives up: some seconds, a thousand times what a step can take.
SPIN_LIMIT = 20_000_000


@dataclass(frozen=True)
class Cell:
    """blocks: numbers that a unit has in `gates`; products: how many of them, from `first` on, W_hh contributes to."""

    name: str
    blocks: int
    products: int
    first: int = 0


RNN = Cell("RNN", 1, 1)
LSTM = Cell("LSTM", 4, 4)
GRU = Cell("GRU", 4, 3, first=1)


@dataclass(frozen=True)
class Storage:
    """A type in which arrays are stored. name: in CUDA C++; dtype: in NumPy; accumulate: of gates and sums."""

    name: str
    dtype: str
    bytes: int
    accumulate: Any

    @property
    def accumulate_bytes(self) -> int:
        """Of one number."""
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


def product(storage: Storage, precision: str) -> str:
    """Which product a kernel computes: FMA, TF32X3, TF32 or MMA16."""
    if storage.name == "float":
        return {"strict": "FMA", "high": "TF32X3", "fast": "TF32"}[precision]
    return "FMA" if storage.name == "double" else "MMA16"


@dataclass(frozen=True)
class Work:
    """A pass over sequences: what a plan depends on. backward: the way back."""

    cell: Cell
    storage: Storage
    T: int
    B: int
    H: int
    backward: bool = False
    product: str = "FMA"

    @property
    def kernel(self) -> str:
        """Its name in sequence.cu."""
        return "backward" if self.backward else "forward"

    @property
    def steps(self) -> int:
        """One for each time step; the way back has one more, for dh0."""
        return self.T + self.backward

    @property
    def tiles(self) -> int:
        """Of the batch."""
        return _ceil(self.B, TILE)

    @property
    def K(self) -> int:
        """Entries of the state, which is multiplied."""
        return self.cell.products * self.H if self.backward else self.H

    def rows(self, units: int) -> int:
        """Rows of the matrix that belong to so many units."""
        return units if self.backward else self.cell.products * units

    @property
    def weight_bytes(self) -> int:
        """Of W_hh."""
        return self.cell.products * self.H * self.H * self.storage.bytes


@dataclass(frozen=True)
class Plan:
    """How a pass runs.

    level: 1 products by cuBLAS and gates, step by step; 2 a launch for each step, replayed as graphs; 3 one launch.
    team: who shares a tile's units, level 3 "block", "cluster" or "grid", else "". grid: blocks in x (of a team) and y.
    """

    level: int
    team: str = ""
    cluster: int = 1
    units: int = 0
    chunk: int = 0
    splits: int = 1
    resident: bool = False
    grid: tuple[int, int] = (0, 0)
    shared_bytes: int = 0

    @property
    def cooperative(self) -> bool:
        """Whether blocks wait for each other that the hardware doesn't start together anyway."""
        return self.team == "grid"

    @property
    def blocks(self) -> int:
        """Of the whole grid."""
        return self.grid[0] * self.grid[1]

    def __str__(self) -> str:
        """As doctor and bench print it."""
        if self.level == 1:
            return "level 1, cuBLAS and gates step by step"
        weights = "resident" if self.resident else "streamed"
        team = {"": "graphs of steps", "block": "single block", "cluster": f"cluster of {self.cluster}"}.get(
            self.team, f"grid of {self.grid[0]} x {self.grid[1]} blocks"
        )
        return f"level {self.level}, {team}, {self.units} units a block, weights {weights}"


def shared_bytes(work: Work, units: int, chunk: int, splits: int, resident: bool) -> int:
    """Dynamic shared memory of a block."""
    S, rows = work.storage.bytes, work.rows(units)
    columns = _ceil(work.K, chunk) * chunk if resident else chunk
    parts = (
        rows * _pitch(columns, S) * S,
        TILE * _pitch(chunk, S) * S,
        splits * TILE * (rows if rows % 32 else rows + 8) * work.storage.accumulate_bytes,
    )
    return sum(_round_up(part, 16) for part in parts)


def plans(work: Work, properties: Properties) -> dict[str, Plan | str]:
    """Every way to run a pass with B > 0, by name, or why it can't be run: "needs ..., there is ...".

    "1"; "2"; "block", "cluster 2", "cluster 4", "cluster 8" and "grid", which are level 3.
    """
    found: dict[str, Plan | str] = {"1": Plan(1)}
    for name, make in _MAKERS.items():
        try:
            found[name] = make(work, properties)
        except ValueError as error:
            found[name] = str(error)
    return found


def _cluster(cluster: int, work: Work, properties: Properties) -> Plan:
    """A team that is one block, or one thread-block cluster: W and the whole state in shared memory."""
    if cluster > properties.largest_cluster:
        raise ValueError(f"needs clusters (compute capability 9.0), there is {properties.architecture / 10}")
    if work.tiles > MOST_TILES:
        raise ValueError(f"needs a tile for each {TILE} rows, there are {MOST_TILES} at most and B = {work.B}")
    units = _round_up(_ceil(work.H, cluster), UNITS)
    team = "block" if cluster == 1 else "cluster"
    for splits in _splits(work, units):
        chunk = _round_up(work.K, 16 * splits)
        needed = shared_bytes(work, units, chunk, splits, True)
        if needed <= properties.shared_bytes:
            return Plan(3, team, cluster, units, chunk, splits, True, (cluster, work.tiles), needed)
    raise ValueError(_too_small(needed, properties))


def _grid(work: Work, properties: Properties) -> Plan:
    """A team of as many blocks as the device has multiprocessors, or several teams of fewer, that meet at every step.

    Of all numbers of units: weights that stay on chip first, then the least work for a block, then the fewest blocks.
    """
    best: tuple[Any, Plan] | None = None
    for units in _all_units(work):
        x = _ceil(work.H, units)
        if x > properties.multiprocessors:
            continue
        y = min(work.tiles, properties.multiprocessors // x)
        y = _ceil(work.tiles, _ceil(work.tiles, y))  # as many rounds with fewer blocks
        fitting = _chunked(work, properties, units)
        if fitting is None:
            continue
        chunk, splits, resident, needed = fitting
        rank = (not resident, _ceil(work.tiles, y) * units, x * y)
        if best is None or rank < best[0]:
            best = rank, Plan(3, "grid", 1, units, chunk, splits, resident, (x, y), needed)
    if best is None:
        units = _round_up(_ceil(work.H, properties.multiprocessors), UNITS)
        raise ValueError(_too_small(shared_bytes(work, units, 16, 1, False), properties))
    return best[1]


def _steps(work: Work, properties: Properties) -> Plan:
    """Level 2: blocks needn't run at the same time. As few rounds of them as possible, then the fewest blocks."""
    best: tuple[Any, Plan] | None = None
    y = min(work.tiles, MOST_TILES)
    for units in _all_units(work):
        fitting = _chunked(work, properties, units, resident=False)
        if fitting is None:
            continue
        x = _ceil(work.H, units)
        chunk, splits, _, needed = fitting
        rank = (_ceil(x * y, properties.multiprocessors) * units, x)
        if best is None or rank < best[0]:
            best = rank, Plan(2, "", 1, units, chunk, splits, False, (x, y), needed)
    if best is None:
        raise ValueError(_too_small(shared_bytes(work, UNITS, 16, 1, False), properties))
    return best[1]


# Columns of a streamed matrix at a time: more would leave room for fewer blocks on a multiprocessor, less would wait
# more often.
STREAMED = 256


def _chunked(
    work: Work, properties: Properties, units: int, resident: bool = True
) -> tuple[int, int, bool, int] | None:
    """chunk, splits, resident and the bytes for so many units, with resident weights if that is asked for and fits."""
    for splits in _splits(work, units):
        for parts in range(1, 9) if resident else ():
            chunk = _round_up(_ceil(work.K, parts), 16 * splits)
            needed = shared_bytes(work, units, chunk, splits, True)
            if needed <= properties.shared_bytes:
                return chunk, splits, True, needed
    for splits in _splits(work, units):
        chunk = min(_round_up(work.K, 16 * splits), max(STREAMED, 16 * splits))
        while chunk >= 16 * splits:
            needed = shared_bytes(work, units, chunk, splits, False)
            if needed <= properties.shared_bytes:
                return chunk, splits, False, needed
            chunk = chunk // 2 // (16 * splits) * (16 * splits)
    return None


def _all_units(work: Work) -> range:
    """All numbers of units that a block can own."""
    return range(UNITS, _round_up(work.H, UNITS) + 1, UNITS)


def _splits(work: Work, units: int) -> list[int]:
    """In how many parts the sum over k can be cut, the best first: one part for each warp that has no unit else."""
    best = 1
    while best < 8 and units // UNITS * best < 8 and 16 * best < work.K:
        best *= 2
    return [s for s in (8, 4, 2, 1) if s <= best]


def _too_small(needed: int, properties: Properties) -> str:
    return f"needs {needed:,} bytes of shared memory a block, there are {properties.shared_bytes:,}"


def _pitch(columns: int, item: int) -> int:
    """Entries from a row to the next: whole lines of 128 bytes, and 16 bytes so that rows begin in different banks."""
    return _round_up(columns, 128 // item) + 16 // item


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _round_up(a: int, multiple: int) -> int:
    return _ceil(a, multiple) * multiple


_MAKERS = {
    "2": _steps,
    "block": lambda work, properties: _cluster(1, work, properties),
    "cluster 2": lambda work, properties: _cluster(2, work, properties),
    "cluster 4": lambda work, properties: _cluster(4, work, properties),
    "cluster 8": lambda work, properties: _cluster(8, work, properties),
    "grid": _grid,
}
