"""The choice of a level and a team for a pass over a sequence: the plan with the lowest estimated time.

Every figure here is an ESTIMATE, made from data sheets and from published measurements. None was measured with these
kernels. The estimates only need to be good enough to tell the levels apart. The environment variable MINIRNN_CUDA_LEVEL
(1, 2 or 3) forces a level.
"""

import os
from dataclasses import dataclass
from functools import lru_cache

from minirnn_kernels.arithmetic import ceil_div
from minirnn_kernels.cuda.device import Properties
from minirnn_kernels.cuda.plans import TILE, PassPlan, Work, plans

VARIABLE = "MINIRNN_CUDA_LEVEL"

# Host time of one launch from Python, in microseconds. Levels 1 and 2 pay it for each launch and each replay. A step of
# level 1 is two launches, the product and the gates.
LAUNCH_US = 8.0
# Microseconds from the end of a kernel to the start of the next: in a stream, and inside a graph.
BETWEEN_LAUNCHES_US = 2.5
BETWEEN_NODES_US = 1.3
# Microseconds of a step that no arithmetic hides: reading the projected gates, activations, storing.
STEP_US = 0.7
# Microseconds for the two barriers of a team in one step. A block: two block barriers. A cluster: two hardware barriers
# and a write to each neighbour. The grid: a flag in the L2 cache, seen by polling.
BARRIER_US = {"block": 0.1, "cluster": 1.0, "grid": 1.5, "": 0.0}
# Microseconds from a request to the L2 cache to its answer, and the loads that a block requests at a time:
# 8 by each of 256 threads. A load has 16 bytes, or one number where W_hh is read along its columns.
ROUND_TRIP_US = 0.6
LOADS_IN_FLIGHT = 256 * 8
# Microseconds until all blocks of a cooperative launch are running.
COOPERATIVE_LAUNCH_US = 6.0

# Floating-point operations per cycle of one multiprocessor, from the data sheets of the A100 and H100: 128
# multiply-adds of float32, 64 of float64, 512 of TF32 with mma.sync (a product in TF32X3 takes three), 1024 of 16 bits.
FLOP_PER_CYCLE = {"FMA": 256.0, "double": 128.0, "TF32": 1024.0, "TF32X3": 341.0, "MMA16": 2048.0}
# The share of this peak that a product of 16 rows in shared memory reaches, and that cuBLAS reaches with enough rows.
KERNEL_EFFICIENCY = 0.4
CUBLAS_EFFICIENCY = 0.6
# Bytes per cycle that a multiprocessor reads from its shared memory.
SHARED_BYTES_PER_CYCLE = 128.0

GRAPH_STEPS = 32  # the maximum number of steps in one graph


def graph_steps(steps: int) -> int:
    """Return how many steps of a pass are captured as one graph: a power of two, so that few graphs fit all lengths."""
    return min(GRAPH_STEPS, 1 << max(0, steps - 1).bit_length())


def estimate(plan: PassPlan, work: Work, properties: Properties) -> float:
    """Return the microseconds of a pass, without the products over all time steps, which every level shares."""
    each = work.steps * step(plan, parts(plan, work, properties))
    if plan.level < 3:
        return each
    start = (
        LAUNCH_US
        + COOPERATIVE_LAUNCH_US * plan.cooperative
        + _microseconds(work.weight_bytes * plan.grid[1], properties.l2_bandwidth)
    )
    places = properties.multiprocessors // plan.cluster * plan.cluster  # the multiprocessors that clusters can fill
    waves = 1 if plan.cooperative else ceil_div(plan.blocks, places)
    return start + waves * each


def parts(plan: PassPlan, work: Work, properties: Properties) -> dict[str, float]:
    """Return the microseconds of the parts of a step; `step` adds them up.

    launch      launching kernels, and the gaps between them
    product     multiply-adds of the block with the most work, or of cuBLAS
    shared      reads of shared memory by that block, in parallel with the product
    state       waiting for the state that other blocks wrote
    weights     waiting for weights that are not resident
    traffic     states and weights of all blocks, through the L2 cache or the memory, in parallel
    barrier     waiting for the other blocks
    rest        reading the projected gates, activations, storing
    """
    found = dict.fromkeys(("launch", "product", "shared", "state", "weights", "traffic", "barrier", "rest"), 0.0)
    if plan.level == 1:
        return found | _cublas_parts(work, properties)
    if plan.level == 2:
        captured = graph_steps(work.steps)
        replays = ceil_div(work.steps, captured)  # launches for steps past the end return at once
        found["launch"] = replays * max(LAUNCH_US, captured * BETWEEN_NODES_US) / work.steps
    return found | _kernel_parts(plan, work, properties) | {"barrier": BARRIER_US[plan.team], "rest": STEP_US}


def step(plan: PassPlan, found: dict[str, float]) -> float:
    """Return the microseconds of a step, given its parts. Only the longest of the parts that run in parallel counts."""
    if plan.level == 1:  # the device waits for the host, or the host for the device
        return max(found["launch"], 2 * BETWEEN_LAUNCHES_US + max(found["product"], found["traffic"]))
    block = max(found["product"], found["shared"]) + found["state"] + found["weights"]
    return found["launch"] + found["rest"] + max(block, found["traffic"]) + found["barrier"]


def _cublas_parts(work: Work, properties: Properties) -> dict[str, float]:
    """Return the parts of a step of level 1: a cuBLAS product and the gates."""
    flop = 2.0 * work.B * work.weight_bytes / work.storage.bytes
    speed = properties.multiprocessors * properties.clock * _flop_per_cycle(work) * CUBLAS_EFFICIENCY
    moved = work.weight_bytes + work.B * work.H * work.storage.accumulate_bytes * (work.unit.blocks * 3 + 4)
    return {
        "launch": 2 * LAUNCH_US,
        "product": _microseconds(flop, speed),
        "traffic": _microseconds(moved, _weight_bandwidth(work, properties)),
    }


def _kernel_parts(plan: PassPlan, work: Work, properties: Properties) -> dict[str, float]:
    """Return the parts of a step of one block, over all of its tiles or all rounds of blocks on a multiprocessor."""
    rows, storage, cores = work.rows(plan.units), work.storage.bytes, properties.multiprocessors
    rounds = ceil_div(work.tiles, plan.grid[1]) * (ceil_div(plan.blocks, cores) if plan.level == 2 else 1)
    flop = 2.0 * TILE * rows * work.K
    shared = (rows + TILE) * work.K * storage
    found = {
        "product": rounds * _microseconds(flop, properties.clock * _flop_per_cycle(work) * KERNEL_EFFICIENCY),
        "shared": rounds * _microseconds(shared, properties.clock * SHARED_BYTES_PER_CYCLE),
    }
    moved = 0.0
    if plan.team not in ("block", "cluster"):
        state = TILE * work.K * storage
        found["state"] = rounds * ROUND_TRIP_US * max(1.0, state / (16 * LOADS_IN_FLIGHT))
        moved += state * plan.grid[0] * work.tiles
    if not plan.resident:
        loads = rows * work.K / (1 if work.backward else 16 / storage)
        found["weights"] = rounds * ROUND_TRIP_US * max(1.0, loads / LOADS_IN_FLIGHT)
        moved += work.weight_bytes * work.tiles
    return found | {"traffic": _microseconds(moved, _weight_bandwidth(work, properties))}


def _flop_per_cycle(work: Work) -> float:
    return FLOP_PER_CYCLE["double" if work.storage.name == "double" else work.product]


def _weight_bandwidth(work: Work, properties: Properties) -> float:
    """Return the bytes per second at which weights are read: from the L2 cache if they fit."""
    return properties.l2_bandwidth if work.weight_bytes < properties.l2_bytes * 0.8 else properties.bandwidth


def _microseconds(amount: float, per_second: float) -> float:
    return amount / per_second * 1e6


# ---- the choice ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """The chosen plan, and the estimates of all plans considered."""

    plan: PassPlan
    estimates: dict[str, float]  # name of a plan: microseconds
    forced: bool = False  # whether the level was prescribed

    def __str__(self) -> str:
        figures = ", ".join(f"{name}: {us:.0f} us" for name, us in self.estimates.items())
        why = f"forced by {VARIABLE}" if self.forced else "the fastest by estimate"
        return f"{self.plan} ({why}; estimates {figures})"


def forced_level() -> int | None:
    """Return the level in MINIRNN_CUDA_LEVEL, or None. Raises ValueError unless it is 1, 2, 3 or empty."""
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "1", "2", "3"):
        raise ValueError(f"{VARIABLE} is {value!r}, expected 1, 2 or 3")
    return int(value) if value else None


@lru_cache(maxsize=4096)
def choose(work: Work, properties: Properties, level: int | None = None, team: str | None = None) -> Choice:
    """Return the plan for a pass with B > 0. level and team ("block", "cluster 4", "grid", ...) restrict the choice.

    Raises ValueError if no plan is left: the message says what each way needs and what the device has.
    """
    wanted = {
        name: plan
        for name, plan in plans(work, properties).items()
        if (level is None or name == str(level) or (level == 3 and name not in ("1", "2"))) and team in (None, name)
    }
    possible = {name: plan for name, plan in wanted.items() if isinstance(plan, PassPlan)}
    if not possible:
        reasons = "; ".join(f"{name} {reason}" for name, reason in wanted.items()) or "there is no such team"
        restriction = f"level {level}" if level else f"team {team}"
        raise ValueError(
            f"{restriction} can't run the {work.kernel} pass of {work.cell.title} with H = {work.H}, B = {work.B} in "
            f"{work.storage.dtype} on {properties.name}: {reasons}"
        )
    estimates = {name: estimate(plan, work, properties) for name, plan in possible.items()}
    best = min(estimates, key=estimates.__getitem__)
    return Choice(possible[best], estimates, forced=level is not None)


def explain(work: Work, properties: Properties) -> str:
    """Return one line on the plan and the reason for it, for `doctor` and `bench`, subject to MINIRNN_CUDA_LEVEL."""
    return str(choose(work, properties, forced_level()))
