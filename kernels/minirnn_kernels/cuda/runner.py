"""`Runner` runs a pass over a sequence on a device, at one of three levels.

A pass takes the input products to the last state, or the gradient of the states to da. `cuda/sequences.py` contains the
computations before and after a pass, and describes the arrays; `cuda/levels.py` chooses the level.
"""

import itertools
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from minirnn_kernels.cell import GRU
from minirnn_kernels.cuda.device import Array, Device, Kernel
from minirnn_kernels.cuda.gates import GateStep, by_gate, step_backward, step_forward
from minirnn_kernels.cuda.levels import choose, forced_level, graph_steps
from minirnn_kernels.cuda.plans import ARRAYS, PASS, SPIN_LIMIT, PassPlan, Work

MOST_GRAPHS = 64  # cached by a Runner; the least recently used graph is dropped first
GAVE_UP = (
    "a CUDA kernel stopped waiting for the other blocks of its team, so the results of an earlier call are invalid "
    "(NaN). Either the GPU was stopped for several seconds (by a debugger, or by another process that occupied it), or "
    "the blocks did not run at the same time. Set MINIRNN_CUDA_LEVEL=2 to avoid kernels that wait for each other"
)


@dataclass
class Pass:
    """The arrays of a pass. An array that the cell or the direction does not use is None.

    T, B and H are those of `work`; n is the number of values of a unit in `gates`, S the dtype of the arguments and A
    that of sums and gates.
    """

    work: Work  # of the forward pass
    precision: str
    W_hh: Array  # (products * H, H) S, contiguous
    h: Array  # (T+1, B, H) S: the hidden state at every step; h[0] is the initial state
    c: Array | None = None  # LSTM: (T+1, B, H) A, c[0] is the initial state; in inference (B, H), overwritten
    gates: Array | None = None  # (T, B, n*H) A: the input product, which becomes the gates
    bias: Array | None = None  # GRU: (H,) A, b_hn
    lengths: Array | None = None  # (B,) int32; None: T for every row
    relu: bool = False
    training: bool = True  # whether gates and every c are kept
    # the backward pass
    dout: Array | None = None  # (T, B, H) S
    dh_n: Array | None = None  # (B, H) A
    dc_n: Array | None = None  # LSTM: (B, H) A
    carry: Array | None = None  # (B, H) A, zeros at first: LSTM dc, which ends as dc0; GRU z * dh
    da: Array | None = None  # (T, B, n*H) S
    dh0: Array | None = None  # (B, H) A


class Runner:
    """Runs passes on a device. level and team restrict the choice of a plan."""

    def __init__(self, device: Device, level: int | None = None, team: str | None = None) -> None:
        self.device, self.level, self.team = device, level, team
        self._serials = itertools.count()
        self._graph = lru_cache(MOST_GRAPHS)(self._captured)

    def check(self) -> None:
        """Raise RuntimeError if a kernel of an earlier call gave up waiting for the other blocks of its team."""
        if self.device.failed():
            raise RuntimeError(GAVE_UP)

    def run(self, p: Pass, *, backward: bool = False) -> None:
        """Fill h, c and gates, or in the backward pass da, dh0 and carry."""
        work = replace(p.work, backward=backward)
        if work.B == 0:
            return
        plan = self._plan(work)
        if plan.level == 1:
            (self._backward_by_steps if backward else self._forward_by_steps)(p, work)
        else:
            (self._by_graphs if plan.level == 2 else self._at_once)(p, work, plan)

    def _plan(self, work: Work) -> PassPlan:
        """Return the chosen plan.

        If the device cannot hold all blocks of a cooperative plan at once, return a plan of level 2 instead, or raise
        ValueError if level 3 was prescribed.
        """
        level, properties = self.level or forced_level(), self.device.properties
        plan = choose(work, properties, level, self.team).plan
        if not plan.cooperative or (fit := self.device.blocks_at_once(plan.kernel(work))) >= plan.blocks:
            return plan
        if level == 3:
            raise ValueError(
                f"level 3 needs {plan.blocks} blocks of {plan.shared_bytes:,} bytes of shared memory at the "
                f"same time for H = {work.H}, B = {work.B}; {properties.name} holds {fit}"
            )
        return choose(work, properties, 2).plan

    # ---- level 1 ----

    def _forward_by_steps(self, p: Pass, work: Work) -> None:
        assert p.gates is not None
        cell, unit = work.cell, work.unit
        recurrent = self.device.xp.empty((work.B, unit.products * work.H), work.storage.accumulate)
        for t in range(work.T):
            self.device.matmul(p.h[t], p.W_hh.T, out=recurrent, precision=p.precision)
            c_prev, c = (None, None) if p.c is None else (p.c[t], p.c[t + 1]) if p.training else (p.c, p.c)
            gates, h_prev, h = by_gate(p.gates[t], cell), p.h[t], p.h[t + 1]
            step_forward(
                self.device, GateStep(cell, gates, h, recurrent, p.bias, c_prev, c, h_prev, p.lengths, t, p.relu)
            )

    def _backward_by_steps(self, p: Pass, work: Work) -> None:
        assert p.da is not None
        assert p.dh0 is not None
        cell, first = work.cell, work.unit.first * work.H
        recurrent = None  # no step comes after the last one
        for t in reversed(range(work.T)):
            gates = None if p.gates is None else by_gate(p.gates[t], cell)
            c_prev, c = (None, None) if p.c is None else (p.c[t], p.c[t + 1])
            dout, da = None if p.dout is None else p.dout[t], by_gate(p.da[t], cell)
            step = GateStep(
                cell, gates, p.h[t + 1], recurrent, None, c_prev, c, p.h[t], p.lengths, t, p.relu,
                work.T, dout, p.dh_n, p.dc_n, p.carry, da,
            )  # fmt: skip
            step_backward(self.device, step)
            recurrent = p.dh0
            self.device.matmul(p.da[t][:, first:], p.W_hh, out=recurrent, precision=p.precision)
        if cell is GRU:
            p.dh0 += p.carry

    # ---- levels 2 and 3 ----

    def _at_once(self, p: Pass, work: Work, plan: PassPlan) -> None:
        flags = self.device.xp.zeros(plan.blocks, np.int32) if plan.cooperative else None
        record = self.device.record(self._values(p, plan, flags))
        args = record, np.int32(0), np.int32(work.steps)
        self.device.launch(plan.kernel(work), plan.grid, args, cooperative=plan.cooperative)

    def _by_graphs(self, p: Pass, work: Work, plan: PassPlan) -> None:
        captured = graph_steps(work.steps)
        owner = threading.get_ident(), self.device.stream()  # each has its own graphs, because a pass fills the record
        replay, record = self._graph(plan.kernel(work), plan.grid, captured, owner)
        self.device.record(self._values(p, plan, None), into=record)
        for _ in range(0, work.steps, captured):
            replay()

    def _captured(
        self, kernel: Kernel, grid: tuple[int, int], steps: int, owner: Hashable
    ) -> tuple[Callable[[], None], Array]:
        """Return a function that launches this many steps of a pass, and the record that these steps read."""
        record = self.device.record(np.zeros((), PASS))

        def capture() -> None:
            for step in range(steps):
                self.device.launch(kernel, grid, (record, np.int32(step), np.int32(step + 1)))
            advance = Kernel(kernel.configuration, "sequence", "advance", threads=1)
            self.device.launch(advance, (1, 1), (record, np.int32(steps)))

        return self.device.graph((next(self._serials), kernel, grid, steps, owner), capture), record

    def _values(self, p: Pass, plan: PassPlan, flags: Array | None) -> Any:
        """Return the record PASS. Its field `grid` is 0 for teams that keep the state in shared memory."""
        values = np.zeros((), PASS)
        for source, names in ((p.work, "T B H"), (p, "training relu"), (plan, "units chunk splits resident")):
            for name in names.split():
                values[name] = getattr(source, name)
        for name in ARRAYS:
            values[name] = self.device.address(getattr(p, name))
        values["grid"] = plan.team not in ("block", "cluster")
        values["spin_limit"] = SPIN_LIMIT
        values["flags"], values["error"] = self.device.address(flags), self.device.error_word
        return values
