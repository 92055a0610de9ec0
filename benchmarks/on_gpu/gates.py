"""The pointwise kernels alone, for benchmarks/gpu.py: proven, timed, and held against a copy of as many bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from on_gpu.measure import compared, error, interleaved
from on_gpu.peers import Contender, Device, Missing
from on_gpu.plan import MODES, Row, allowed, as_dict, bytes_moved, flop

import minirnn_kernels
from minirnn.bench.pointwise import PointwiseProblem, expected, prepare
from minirnn.bench.sizes import Size

__all__ = ["measured"]

DRAWN = 512  # rows that are drawn; an array of more repeats them
CALLS = 20  # in one graph: a call takes the device about as long as it takes the host to ask for it


def measured(row: Row, device: Device, copy: Callable[[int], float], seconds: float, seed: int = 0) -> dict[str, Any]:
    """A row of the document. copy(n): bytes a second that a copy reads and writes, of arrays of n bytes together."""
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
        """The small problem's arrays, repeated along B."""
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
            raise Missing(f"the {record.name} kernels don't take {storage}")
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
    contender = Contender("ours", _run(call, device, found), lambda made: results, device.clock, calls=CALLS)
    found |= compared(interleaved([contender], seconds))
    found["copy"] = copy(found["bytes"])
    found["figure"] = found["bytes"] / found["times"]["ours"]["median"] / found["copy"]
    return found


def _run(work: Callable[[], Any], device: Device, found: dict[str, Any]) -> Callable[[int], Any]:
    """`CALLS` calls at once, from a graph if the device can capture them; else one by one, which is noted."""
    try:
        many = device.repeated(work, CALLS)
    except Exception as problem:  # whatever the library says about what it can't capture
        found["notes"]["ours"] = {"no graph": f"{type(problem).__name__}: {problem}"}
        return lambda k: [work() for _ in range(CALLS)]
    return lambda k: many()
