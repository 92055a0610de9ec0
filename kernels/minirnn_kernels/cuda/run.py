"""Runs a pass over a sequence on a device, at one of three levels: from the input products to the last state or da.

What stands before and after a pass is in `cuda/sequences.py`, which also says what arrays there are.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn_kernels.cuda.device import Array, Device, Graph
from minirnn_kernels.cuda.gates import by_gate, step_backward, step_forward
from minirnn_kernels.cuda.levels import Choice, choose, forced_level, graph_steps
from minirnn_kernels.cuda.sequence_pass import GRU, PASS, SPIN_LIMIT, THREADS, Cell, Plan, Storage, Work
from minirnn_kernels.cuda.sequence_pass import product as product_of
from minirnn_kernels.cuda.source import Configuration

GRAPHS = 64  # that are kept; the least recently used goes first
FLAG = np.int32
GAVE_UP = (
    "a CUDA kernel gave up waiting for the blocks that it shares a sequence with, so the results of an earlier call "
    "are worthless (NaN). Either the GPU was stopped for seconds (by a debugger, by another process that took it all) "
    "or its blocks did not run at the same time. MINIRNN_CUDA_LEVEL=2 avoids kernels that wait for each other"
)


@dataclass
class Pass:
    """The arrays of a pass; what a direction doesn't use is None. Names and shapes as in the head of this file."""

    cell: Cell
    storage: Storage
    precision: str
    T: int
    B: int
    H: int
    W: Array  # W_hh (products * H, H), contiguous
    h: Array
    c: Array | None = None
    gates: Array | None = None
    bias: Array | None = None  # GRU: (H) b_hn, A
    lengths: Array | None = None  # (B) int32
    relu: bool = False
    training: bool = True
    # the way back
    dout: Array | None = None  # (T, B, H) S
    dh_n: Array | None = None  # (B, H) A
    dc_n: Array | None = None
    carry: Array | None = None  # (B, H) A, zeros: LSTM's dc, which ends as dc0; GRU's z * dh
    da: Array | None = None
    dh0: Array | None = None  # (B, H) A

    def work(self, backward: bool) -> Work:
        """What a plan depends on."""
        product = product_of(self.storage, self.precision)
        return Work(self.cell, self.storage, self.T, self.B, self.H, backward, product)


@dataclass
class Captured:
    """A graph of steps and the record that they read, which stays where it is."""

    graph: Graph
    record: Array


class Runner:
    """Runs passes on a device, at one of the three levels."""

    def __init__(self, device: Device, level: int | None = None, team: str | None = None) -> None:
        self.device, self.level, self.team = device, level, team
        self._graphs: OrderedDict[Hashable, Captured] = OrderedDict()
        self._captures = 0
        self._lock = threading.Lock()

    def check(self) -> None:
        """RuntimeError if a kernel of an earlier call gave up."""
        if self.device.failed():
            raise RuntimeError(GAVE_UP)

    def forward(self, p: Pass) -> None:
        """Fill h, c and gates."""
        if p.B:
            choice = self._choice(p.work(backward=False))
            run = (self._forward_by_steps, self._by_graphs, self._at_once)[choice.plan.level - 1]
            run(p, p.work(backward=False), choice.plan)

    def backward(self, p: Pass) -> None:
        """Fill da, dh0 and carry."""
        if p.B:
            choice = self._choice(p.work(backward=True))
            run = (self._backward_by_steps, self._by_graphs, self._at_once)[choice.plan.level - 1]
            run(p, p.work(backward=True), choice.plan)

    def _choice(self, work: Work) -> Choice:
        """The plan; one whose blocks the device doesn't hold all at once falls back to level 2, or is an error."""
        level = self.level or forced_level()
        choice = choose(work, self.device.properties, level, self.team)
        if choice.plan.cooperative:
            plan = choice.plan
            fit = self.device.blocks_at_once(
                configuration(work, plan), "sequence", work.kernel, THREADS, plan.shared_bytes
            )
            if fit < plan.blocks:
                if level == 3:
                    raise ValueError(
                        f"level 3 needs {plan.blocks} blocks of {plan.shared_bytes:,} bytes of shared memory at the "
                        f"same time for H = {work.H}, B = {work.B}; {self.device.properties.name} holds {fit}"
                    )
                choice = choose(work, self.device.properties, 2)
        return choice

    # ---- level 1 ----

    def _forward_by_steps(self, p: Pass, work: Work, plan: Plan) -> None:
        assert p.gates is not None
        recurrent = self.device.xp.empty((p.B, p.cell.products * p.H), p.storage.accumulate)
        for t in range(p.T):
            self.device.matmul(p.h[t], p.W.T, out=recurrent, precision=p.precision)
            c_prev, c = (None, None) if p.c is None else (p.c[t], p.c[t + 1]) if p.training else (p.c, p.c)
            step_forward(
                self.device, p.cell, p.storage, recurrent, p.bias, by_gate(p.gates[t], p.cell), c_prev, c, p.h[t],
                p.h[t + 1], p.lengths, t, p.relu,
            )  # fmt: skip

    def _backward_by_steps(self, p: Pass, work: Work, plan: Plan) -> None:
        assert p.da is not None
        assert p.dh0 is not None
        recurrent = None  # nothing follows the last step
        for t in reversed(range(p.T)):
            gates = None if p.gates is None else by_gate(p.gates[t], p.cell)
            c_prev, c = (None, None) if p.c is None else (p.c[t], p.c[t + 1])
            dout = None if p.dout is None else p.dout[t]
            step_backward(
                self.device, p.cell, p.storage, gates, c_prev, c, p.h[t], p.h[t + 1], recurrent, dout, p.dh_n, p.dc_n,
                p.carry, by_gate(p.da[t], p.cell), p.lengths, p.T, t, p.relu,
            )  # fmt: skip
            recurrent = p.dh0
            self.device.matmul(p.da[t][:, p.cell.first * p.H :], p.W, out=recurrent, precision=p.precision)
        if p.cell is GRU:
            p.dh0 += p.carry

    # ---- levels 2 and 3 ----

    def _at_once(self, p: Pass, work: Work, plan: Plan) -> None:
        flags = self.device.xp.zeros(plan.blocks, FLAG) if plan.cooperative else None
        record = self.device.record(self._values(p, plan, flags))
        self._launch(work, plan, record, 0, work.steps)

    def _by_graphs(self, p: Pass, work: Work, plan: Plan) -> None:
        captured = graph_steps(work.steps)
        entry = self._captured(work, plan, captured)
        self.device.record(self._values(p, plan, None), into=entry.record)
        for _ in range(0, work.steps, captured):
            entry.graph.replay()

    def _captured(self, work: Work, plan: Plan, steps: int) -> Captured:
        """The graph of so many steps of a pass. A thread has its own for each stream: records are overwritten."""
        place = threading.get_ident(), self.device.stream()
        key = configuration(work, plan), work.kernel, plan.grid, plan.shared_bytes, steps, place
        with self._lock:
            entry = self._graphs.get(key)
            if entry is not None:
                self._graphs.move_to_end(key)
                return entry
            self._captures += 1
            serial = self._captures
        record = self.device.record(np.zeros((), PASS))

        def capture() -> None:
            for step in range(steps):
                self._launch(work, plan, record, step, step + 1)
            config = configuration(work, plan)
            self.device.launch(config, "sequence", "advance", (1, 1), 1, 0, (record, np.int32(steps)))

        entry = Captured(self.device.graph((serial, *key), capture), record)
        with self._lock:
            self._graphs[key] = entry
            while len(self._graphs) > GRAPHS:
                self._graphs.popitem(last=False)
        return entry

    def _launch(self, work: Work, plan: Plan, record: Array, first: int, last: int) -> None:
        self.device.launch(
            configuration(work, plan),
            "sequence",
            work.kernel,
            plan.grid,
            THREADS,
            plan.shared_bytes,
            (record, np.int32(first), np.int32(last)),
            cooperative=plan.cooperative,
        )

    def _values(self, p: Pass, plan: Plan, flags: Array | None) -> Any:
        """The record PASS. Blocks that own a state in shared memory (a cluster's) are told apart by grid = 0."""
        values = np.zeros((), PASS)
        for name in ("T", "B", "H", "training", "relu"):
            values[name] = getattr(p, name)
        for name in ("units", "chunk", "splits", "resident"):
            values[name] = getattr(plan, name)
        values["grid"] = plan.team not in ("block", "cluster")
        values["spin_limit"] = SPIN_LIMIT
        for name in ("gates", "W", "bias", "h", "c", "lengths", "dout", "dh_n", "dc_n", "carry", "da", "dh0"):
            values[name] = self.device.address(getattr(p, name))
        values["flags"], values["error"] = self.device.address(flags), self.device.error_word
        return values


def configuration(work: Work, plan: Plan) -> Configuration:
    """Of the module whose kernels compute a pass."""
    return Configuration(work.cell.name, work.storage.name, work.product, plan.cluster)
