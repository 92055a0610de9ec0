"""The phases of a first use: import, compilation, loading compiled code from the cache, steady state.

A training step runs in two new processes: first with an empty cache folder, so that everything is compiled, then with
the folder that the first process filled. `python -m minirnn.bench.phases NAME CELL DTYPE` is such a process.
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
    """Return the seconds of each phase for one of minirnn's records. Raises RuntimeError if the process fails.

    "process_cold" and "process_warm" are whole processes with an empty and with a full cache; "import" is the import of
    NumPy and of the kernels; "compile" is the difference between the first calls with an empty and with a full cache;
    "first_call" is the first training step with a full cache; "cache_load" is its difference to a "steady" step.
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
