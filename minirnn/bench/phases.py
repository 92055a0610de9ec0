"""Where the time of a first use goes: import, compilation, loading what was compiled before, steady state.

A training step runs in a fresh process, twice: with an empty cache folder (so that everything is compiled), then with
the folder that the first one filled. `python -m minirnn.bench.phases NAME CELL DTYPE` is such a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from typing import Any

from minirnn.bench import machine

__all__ = ["measure"]


def measure(name: str, cell: str = "lstm", dtype: str = "float32", threads: int = 1) -> dict[str, Any]:
    """Seconds of each phase for one of our records; RuntimeError if the process fails.

    "process_cold" and "process_warm" are whole processes from start to end; "import" is NumPy and the kernels' module;
    "compile" what the first call took longer with an empty cache than with a full one; "first_call" the first training
    step with a full cache, of which "cache_load" is what it took longer than a "steady" one.
    """
    with tempfile.TemporaryDirectory(prefix="minirnn-bench-") as folder:
        cold, warm = (_process(folder, name, cell, dtype, threads) for _ in range(2))
    return {
        "record": name,
        "cell": cell,
        "dtype": dtype,
        "threads": threads,
        "process_cold": cold["process"],
        "process_warm": warm["process"],
        "import": warm["import"],
        "compile": max(0.0, cold["first"] - warm["first"]),
        "cache_load": max(0.0, warm["first"] - warm["steady"]),
        "first_call": warm["first"],
        "steady": warm["steady"],
    }


def _process(folder: str, *arguments: Any) -> dict[str, float]:
    name, cell, dtype, threads = arguments
    environment = machine.environment(threads) | {"NUMBA_CACHE_DIR": folder}
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "minirnn.bench.phases", name, cell, dtype],
        env=environment,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise RuntimeError(f"the process that times {name} ended with code {done.returncode}: {done.stderr[-500:]}")
    return {"process": seconds, **json.loads(done.stdout.splitlines()[-1])}


def _main() -> None:
    begin = time.perf_counter()
    import minirnn_kernels

    record = minirnn_kernels.get(sys.argv[1])
    imported = time.perf_counter() - begin

    from minirnn.bench import peers, problems, sizes

    contender = peers.of_record(record, problems.Problem("training", sys.argv[2], sizes.BY_NAME["small"], sys.argv[3]))
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        contender.run()
        times.append(time.perf_counter() - begin)
    print(json.dumps({"import": imported, "first": times[0], "steady": sorted(times[1:])[2]}))


if __name__ == "__main__":
    _main()
