"""The pointwise kernels alone, for benchmarks/gpu.py: checked, timed, and compared with an equally large copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from on_gpu.contender import GpuContender
from on_gpu.measure import compared, error, interleaved
from on_gpu.ours import ComputeDevice
from on_gpu.plan import MODES, GpuRow, allowed, as_dict, bytes_moved, flop

import minirnn_kernels
from minirnn.bench.peers import Missing
from minirnn.bench.pointwise import PointwiseProblem, expected, prepare
from minirnn.bench.sizes import Size

__all__ = ["CALLS", "measured", "repeat"]

DRAWN = 512  # rows that are drawn; larger arrays repeat them
CALLS = 20  # in one graph, because launching a call takes the host about as long as the call takes the device


def measured(
    row: GpuRow, device: ComputeDevice, copy: Callable[[int], float], seconds: float, seed: int = 0
) -> dict[str, Any]:
    """Return a row of the document. copy(n): the bytes per second of a copy of two arrays with n bytes together."""
    limit = allowed(row)
    found: dict[str, Any] = {
        "row": as_dict(row), "flop": flop(row), "bytes": bytes_moved(row), "allowed": limit, "sets": 1,
        "errors": {}, "refused": {}, "missing": {}, "notes": {}, "times": {}, "ratios": {}, "figure": None,
    }  # fmt: skip
    record = minirnn_kernels.get(device.record)
    drawn = min(DRAWN, row.size.B)
    small = PointwiseProblem(row.cell, row.what != "gates", Size("", drawn, 1, 0, row.size.H, ""), "float64", seed)
    storage = MODES[row.mode][0]

    def on_device(still: bool) -> dict[str, Any]:
        """Return the arrays of the small problem, repeated along B."""
        times = -(-row.size.B // drawn)
        made = {name: device.array(a, storage) for name, a in small.draw(still).items()}
        return {
            name: device.xp.ascontiguousarray(
                device.xp.concatenate([a] * times, axis=-2)[..., : row.size.B, :] if times > 1 else a
            )
            for name, a in made.items()
        }

    try:
        arrays = on_device(still=False)
        if not record.accepts(*arrays.values()):
            raise Missing(f"the {record.name} kernels can't compute {storage}")
        call, results = prepare(record, small, arrays)
        call()
        got = {name: device.host(a) for name, a in results.items()}
    except Missing as missing:
        found["missing"]["ours"] = str(missing)
        return found
    right = {name: a.astype(storage).astype(np.float64) for name, a in small.draw(still=False).items()}
    exact = {
        name: np.concatenate([a] * (-(-row.size.B // drawn)), axis=-2)[..., : row.size.B, :]
        for name, a in expected(small, right).items()
    }
    off, worst = error(got, exact)
    found["errors"]["ours"] = off if np.isfinite(off) else None
    if not off <= limit:
        found["refused"]["ours"] = f"{worst} is off by {off:.2g} of its norm, allowed {limit:.2g}"
        return found
    del got, exact, arrays, call, results
    call, results = prepare(record, small, on_device(still=True))
    contender = GpuContender("ours", _run(call, device, found), lambda made: results, device.clock, calls=CALLS)
    found |= compared(interleaved([contender], seconds))
    found["copy"] = copy(found["bytes"])
    found["figure"] = found["bytes"] / found["times"]["ours"]["median"] / found["copy"]
    return found


def repeat(work: Callable[[], Any], n: int) -> None:
    """Do some work n times."""
    for _ in range(n):
        work()


def _run(work: Callable[[], Any], device: ComputeDevice, found: dict[str, Any]) -> Callable[[int], Any]:
    """Return a function that does `CALLS` calls, from a graph if the device can capture them, else with a note."""
    try:
        many = device.repeated(work, CALLS)
    except Exception as problem:  # a library can raise anything for work that it can't capture
        found["notes"]["ours"] = {"no graph": f"{type(problem).__name__}: {problem}"}
        return lambda k: repeat(work, CALLS)
    return lambda k: many()
