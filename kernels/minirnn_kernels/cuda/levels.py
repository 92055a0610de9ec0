"""Which level and which team compute a pass over a sequence: the plan that is estimated to be the fastest.

Every figure here is an ESTIMATE, made from data sheets and from what others have published; none of them was measured
with these kernels. They need only be good enough to tell the levels apart. The environment variable MINIRNN_CUDA_LEVEL
(1, 2 or 3) forces a level.
"""

import os
from dataclasses import dataclass
from functools import lru_cache

from minirnn_kernels.cuda.device import Properties
from minirnn_kernels.cuda.sequence_pass import TILE, Plan, Work, plans

VARIABLE = "MINIRNN_CUDA_LEVEL"
LEVELS = (1, 2, 3)

# Microseconds of the host for one call that launches something, from Python. Levels 1 and 2 pay it, per launch and per
# replay; a step of level 1 is two launches, the product and the gates.
LAUNCH = 8.0
# Microseconds from the end of a kernel to the start of the next one: in a stream, and inside a graph.
BETWEEN_LAUNCHES = 2.5
BETWEEN_NODES = 1.3
# Microseconds of a step that no arithmetic hides: reading the projected gates, activations, storing.
STEP = 0.7
# Microseconds for a team to meet twice. A block: two barriers. A cluster: two barriers of the hardware and a write to
# each neighbour. The grid: a flag to the second-level cache, seen by polling.
MEETING = {"block": 0.1, "cluster": 1.0, "grid": 1.5, "": 0.0}
# Microseconds from asking the second-level cache to the answer, and for how much a block asks at a time: 256 threads x
# 8 loads, of 16 bytes each but where W is read along its columns, a number at a time.
ROUND_TRIP = 0.6
LOADS_ASKED = 256 * 8
# Microseconds until a cooperative launch has all its blocks running.
COOPERATION = 6.0

# Floating-point operations that one multiprocessor does in a cycle, from the data sheets of the A100 and H100: 128
# multiply-adds of float32, 64 of float64, 512 of TF32 with mma.sync (three for a product in TF32X3), 1024 of 16 bits.
PER_CYCLE = {"FMA": 256.0, "double": 128.0, "TF32": 1024.0, "TF32X3": 341.0, "MMA16": 2048.0}
# The share of that which a product of 16 rows in shared memory reaches, and cuBLAS, given enough rows.
REACHED_HERE = 0.4
REACHED_BY_CUBLAS = 0.6
# Bytes that a multiprocessor reads from its shared memory in a cycle.
SHARED_PER_CYCLE = 128.0

GRAPH_STEPS = 32  # steps of a graph, at most


def graph_steps(steps: int) -> int:
    """How many steps of a pass are captured as one graph: a power of two, so that few graphs serve all lengths."""
    captured = 1
    while captured < min(steps, GRAPH_STEPS):
        captured *= 2
    return captured


def estimate(plan: Plan, work: Work, properties: Properties) -> float:
    """Microseconds for the pass, without the products over all time steps, which are the same at every level."""
    each = work.steps * step(plan, parts(plan, work, properties))
    if plan.level < 3:
        return each
    start = (
        LAUNCH
        + COOPERATION * plan.cooperative
        + _microseconds(work.weight_bytes * plan.grid[1], properties.l2_bandwidth)
    )
    waves = 1 if plan.cooperative else -(-plan.blocks // (properties.multiprocessors // plan.cluster * plan.cluster))
    return start + waves * each


def parts(plan: Plan, work: Work, properties: Properties) -> dict[str, float]:
    """Where the microseconds of a step go; `step` adds them up.

    launch      asking for kernels, and the gaps between them
    product     multiply-adds of the block that has most to do, or of cuBLAS
    shared      its reads of shared memory, which go on meanwhile
    state       waiting for the state that other blocks wrote
    weights     waiting for weights that aren't resident
    traffic     both of these for all blocks, through the second-level cache or the memory, which goes on meanwhile
    meeting     waiting for the other blocks
    rest        reading the projected gates, activations, storing
    """
    found = dict.fromkeys(("launch", "product", "shared", "state", "weights", "traffic", "meeting", "rest"), 0.0)
    if plan.level == 1:
        return found | _cublas_parts(work, properties)
    if plan.level == 2:
        captured = graph_steps(work.steps)
        replays = -(-work.steps // captured)  # steps past the end start and return
        found["launch"] = replays * max(LAUNCH, captured * BETWEEN_NODES) / work.steps
    return found | _kernel_parts(plan, work, properties) | {"meeting": MEETING[plan.team], "rest": STEP}


def step(plan: Plan, found: dict[str, float]) -> float:
    """Microseconds of a step, of its parts: those that go on at the same time as others count if they are longer."""
    if plan.level == 1:  # the device waits for the host, or the host for the device
        return max(found["launch"], 2 * BETWEEN_LAUNCHES + max(found["product"], found["traffic"]))
    block = max(found["product"], found["shared"]) + found["state"] + found["weights"]
    return found["launch"] + found["rest"] + max(block, found["traffic"]) + found["meeting"]


def _cublas_parts(work: Work, properties: Properties) -> dict[str, float]:
    """A product and the gates: what the host takes, or what the device takes, whichever is longer."""
    flops = 2.0 * work.B * work.weight_bytes / work.storage.bytes
    speed = properties.multiprocessors * properties.clock * _per_cycle(work) * REACHED_BY_CUBLAS
    moved = work.weight_bytes + work.B * work.H * work.storage.accumulate_bytes * (work.cell.blocks * 3 + 4)
    return {
        "launch": 2 * LAUNCH,
        "product": _microseconds(flops, speed),
        "traffic": _microseconds(moved, _from(work, properties)),
    }


def _kernel_parts(plan: Plan, work: Work, properties: Properties) -> dict[str, float]:
    """One step of one block, over all the tiles that it has, or the rounds of blocks that a multiprocessor has."""
    rows, storage, cores = work.rows(plan.units), work.storage.bytes, properties.multiprocessors
    rounds = -(-work.tiles // plan.grid[1]) * (-(-plan.blocks // cores) if plan.level == 2 else 1)
    flops = 2.0 * TILE * rows * work.K
    found = {
        "product": rounds * _microseconds(flops, properties.clock * _per_cycle(work) * REACHED_HERE),
        "shared": rounds * _microseconds((rows + TILE) * work.K * storage, properties.clock * SHARED_PER_CYCLE),
    }
    moved = 0.0
    if plan.team not in ("block", "cluster"):
        state = TILE * work.K * storage
        found["state"] = rounds * ROUND_TRIP * max(1.0, state / (16 * LOADS_ASKED))
        moved += state * plan.grid[0] * work.tiles
    if not plan.resident:
        loads = rows * work.K / (1 if work.backward else 16 / storage)
        found["weights"] = rounds * ROUND_TRIP * max(1.0, loads / LOADS_ASKED)
        moved += work.weight_bytes * work.tiles
    return found | {"traffic": _microseconds(moved, _from(work, properties))}


def _per_cycle(work: Work) -> float:
    return PER_CYCLE["double" if work.storage.name == "double" else work.product]


def _from(work: Work, properties: Properties) -> float:
    """Bytes a second at which weights come: from the second-level cache if they fit."""
    return properties.l2_bandwidth if work.weight_bytes < properties.l2_bytes * 0.8 else properties.bandwidth


def _microseconds(amount: float, per_second: float) -> float:
    return amount / per_second * 1e6


# ---- the choice ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """A plan, and what was estimated: the best of each level in microseconds."""

    plan: Plan
    estimates: dict[str, float]
    forced: bool = False

    def __str__(self) -> str:
        figures = ", ".join(f"{name}: {us:.0f} us" for name, us in self.estimates.items())
        why = f"forced by {VARIABLE}" if self.forced else "the fastest by estimate"
        return f"{self.plan} ({why}; estimates {figures})"


def forced_level() -> int | None:
    """What MINIRNN_CUDA_LEVEL says. ValueError for anything but 1, 2, 3 or nothing."""
    value = os.environ.get(VARIABLE, "")
    if not value:
        return None
    if value not in map(str, LEVELS):
        raise ValueError(f"{VARIABLE} is {value!r}, expected 1, 2 or 3")
    return int(value)


@lru_cache(maxsize=4096)
def choose(work: Work, properties: Properties, level: int | None = None, team: str | None = None) -> Choice:
    """The plan for a pass with B > 0. level and team ("block", "cluster 4", "grid", ...) narrow the choice.

    ValueError where nothing is left, with what each way needs and what there is.
    """
    found = plans(work, properties)
    wanted = {
        name: plan
        for name, plan in found.items()
        if (level is None or name == str(level) or (level == 3 and name not in ("1", "2"))) and team in (None, name)
    }
    possible = {name: plan for name, plan in wanted.items() if isinstance(plan, Plan)}
    if not possible:
        reasons = "; ".join(f"{name} {reason}" for name, reason in wanted.items()) or "there is no such team"
        asked = f"level {level}" if level else f"team {team}"
        raise ValueError(
            f"{asked} can't run the {work.kernel} of {work.cell.name} with H = {work.H}, B = {work.B} in "
            f"{work.storage.dtype} on {properties.name}: {reasons}"
        )
    estimates = {name: estimate(plan, work, properties) for name, plan in possible.items()}
    best = min(estimates, key=estimates.__getitem__)
    return Choice(possible[best], estimates, forced=level is not None)


def explain(work: Work, properties: Properties) -> str:
    """What would run and why, in a line: for doctor and bench. Takes MINIRNN_CUDA_LEVEL into account."""
    return str(choose(work, properties, forced_level()))
