"""The CUDA kernels compared with PyTorch (cuDNN), JAX and the peak of the GPU, on the rows of on_gpu/plan.py.

    python benchmarks/gpu.py                         # everything: about half an hour
    python benchmarks/gpu.py --part lstm             # one part; --list shows the parts and their rows
    python benchmarks/gpu.py --rest                  # the rows that an earlier call had no time for
    python benchmarks/gpu.py --quick                 # one size of each kind: a few minutes
    python benchmarks/gpu.py --show FILE             # the tables of a file of results, no GPU needed

Writes benchmarks/results/gpu-<date>-<gpu>.json (on_gpu/report.py) after each part. Rows that were measured earlier on
the same day and machine are kept; rows that are measured now replace them. A row is timed only after the results and
gradients of every contender have been compared with float64. No row is started after --minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import operator
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from on_gpu import gates, ours, peers
from on_gpu import measure as gpu_measure
from on_gpu import report as gpu_report
from on_gpu.contender import Numbers
from on_gpu.measure import best_of, rated
from on_gpu.ours import ComputeDevice
from on_gpu.plan import MODES, PARTS, GpuRow, flop, key, of_dict, rows
from rich.console import Console

from minirnn.bench import report
from minirnn.bench.peers import Missing

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "minirnn",
    "numpy",
    "cupy-cuda13x",
    "cupy-cuda12x",
    "torch",
    "jax",
    "jaxlib",
    "nvidia-cudnn-cu13",
    "ml_dtypes",
)
HOST_FLOP = 2e10  # without PyTorch, NumPy computes the reference of rows with at most this many operations
SIDE = 8192  # rows and columns of the matrices whose product measures the peak
COPY = 2**31  # bytes of both arrays of the copy that measures the bandwidth

Tell = Callable[[str], None]


def contenders(part: str, row: GpuRow, device: ComputeDevice) -> gpu_measure.Makers:
    """Return the contenders of a row, by name."""
    made: gpu_measure.Makers = {"ours": partial(ours.ours, device=device)}
    if part == "levels":
        made |= {f"level {level}": partial(ours.ours, device=device, level=level) for level in (1, 2, 3)}
    names = ("torch packed", "torch padded") if row.ragged else ("torch",)
    made |= {name: partial(peers.torch, name=name) for name in names}
    if part == "jax":
        made["jax"] = peers.jax
    return made


def reference(numbers: Numbers) -> dict[str, Any]:
    """Return the float64 results of a row: PyTorch's, or NumPy's for small rows without PyTorch; else `Missing`."""
    with contextlib.suppress(Missing):
        peers.library("torch")
        name = "torch packed" if numbers.row.ragged else "torch"
        return peers.torch(numbers, name, "float64").once()
    if flop(numbers.row) > HOST_FLOP:
        raise Missing("torch is missing, and the reference on the host would take too long")
    return ours.ours(numbers, ours.host_device("float64")).once()


def measure(
    part: str,
    row: GpuRow,
    device: ComputeDevice,
    ceilings: dict[str, Any],
    copy: Callable[[int], float],
    seconds: float,
    seed: int,
) -> dict[str, Any]:
    """Return one row of the document."""
    if row.gates:
        found = gates.measured(row, device, copy, seconds, seed)
    else:
        found = gpu_measure.measured(row, reference, contenders(part, row, device), seconds, seed)
    return rated(found, row, ceilings["peaks"], max(ceilings["bandwidth"].values(), default=0.0))


def run(
    parts: list[str],
    quick: bool,
    until: float,
    one: Callable[[str, GpuRow], dict[str, Any]],
    tell: Tell,
    clock: Callable[[], float] = time.monotonic,
    done: frozenset[str] = frozenset(),
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the measured rows, and the keys of the rows that were left out: no row is started after `until`.

    done: keys of rows that are not measured again.
    """
    found, left_out = [], []
    for part in parts:
        for row in rows(part, quick):
            if key(part, row) in done:
                continue
            if clock() >= until:
                left_out.append(key(part, row))
                continue
            tell(f"{part}: {row.name}")
            try:
                found.append(one(part, row) | {"part": part})
            except Missing as missing:
                tell(f"  not measured: {missing}")
                left_out.append(key(part, row))
    return found, left_out


# ---- the device ------------------------------------------------------------------------------------------------------


def ceilings(device: ComputeDevice, copy: Callable[[int], float], modes: set[str]) -> dict[str, Any]:
    """Return the FLOP/s of a large product in each mode, by PyTorch, and the bytes per second of a large copy."""
    found: dict[str, Any] = {"peaks": {}, "bandwidth": {str(COPY): copy(COPY)}}
    with contextlib.suppress(Missing):
        torch = peers.library("torch")
        for mode in sorted(modes - {"high"} | ({"tf32"} if "high" in modes else set())):
            dtype = getattr(torch, MODES[mode][0])
            side = SIDE // 2 if mode in ("strict", "float64") else SIDE
            a, b = (torch.randn(side, side, dtype=dtype, device="cuda") for _ in range(2))
            clock = peers.torch_clock(torch)
            with peers.torch_mode(torch, mode):
                found["peaks"][mode] = 2 * side**3 / best_of(clock, partial(operator.matmul, a, b))
    return found


def copier(device: ComputeDevice) -> Callable[[int], float]:
    """Return a function (bytes of both arrays) -> bytes per second read and written, which caches its results."""
    known: dict[int, float] = {}

    def copy(total: int) -> float:
        if total not in known:
            xp, n = device.xp, max(1, total // 8)
            source, target = xp.ones(n, "float32"), xp.empty(n, "float32")
            work = partial(xp.copyto, target, source)
            try:
                many = device.repeated(work, gates.CALLS)
            except Exception:  # as in gates: work that can't be captured is called
                many = partial(gates.repeat, work, gates.CALLS)
            known[total] = 8 * n * gates.CALLS / best_of(device.clock, many)
        return known[total]

    return copy


def stamp() -> dict[str, Any]:
    """Return the date, the GPU, the driver and the versions of packages."""
    cupy = peers.library("cupy")
    runtime = cupy.cuda.runtime
    device = runtime.getDevice()
    properties = runtime.getDeviceProperties(device)
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "gpu": properties["name"].decode(),
        "architecture": 10 * properties["major"] + properties["minor"],
        "multiprocessors": properties["multiProcessorCount"],
        "memory": properties["totalGlobalMem"],
        "l2": properties["l2CacheSize"],
        "driver": _driver() or str(runtime.driverGetVersion()),
        "cuda": runtime.runtimeGetVersion(),
        "python": sys.version.split()[0],
        "versions": versions,
    }


def _driver() -> str | None:
    """Return the driver's version as nvidia-smi prints it, or None."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30)
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout.strip() else None


# ---- the command -----------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--part", action="append", choices=PARTS, help="measure only this part; can be repeated")
    made.add_argument("--quick", action="store_true", help="measure one size of each kind, with less time per row")
    made.add_argument("--seconds", type=float, help="seconds per row, for all contenders together (0.6; quick: 0.2)")
    made.add_argument("--minutes", type=float, default=9.0, help="start no row after this many minutes (9)")
    made.add_argument("--rest", action="store_true", help="measure only rows that are not in the file yet")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--out", type=Path, help="the file to write, instead of one in benchmarks/results")
    made.add_argument("--list", action="store_true", help="show the parts and their rows, and exit")
    made.add_argument("--show", type=Path, help="show a file of results, and exit")
    return made


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    console = Console(width=150)
    begin = time.monotonic()
    parts = options.part or list(PARTS)
    if options.list:
        for part in parts:
            console.print(f"{part}: {PARTS[part]}", **report.PLAIN)
            for row in rows(part, options.quick):
                console.print(f"    {row.name}: {row.size}", **report.PLAIN)
        return 0
    if options.show:
        gpu_report.show(console, json.loads(options.show.read_text(encoding="utf-8")))
        return 0
    try:
        device = ours.cupy_device()
    except Missing as missing:
        console.print(f"gpu.py: {missing}", **report.PLAIN)
        return 2
    machine, copy = stamp(), copier(device)
    modes = {row.mode for part in parts for row in rows(part, options.quick)}
    at_most = ceilings(device, copy, modes)
    slug = re.sub(r"[^a-z0-9]+", "-", machine["gpu"].lower()).strip("-")
    path = options.out or RESULTS / f"gpu-{machine['date'][:10]}-{slug}.json"
    path.parent.mkdir(exist_ok=True)
    seconds = options.seconds or (0.2 if options.quick else 0.6)
    document: dict[str, Any] = {}
    one = lambda part, row: measure(part, row, device, at_most, copy, seconds, options.seed)
    tell = lambda words: console.print(words, style="dim", **report.PLAIN)
    for part in parts:
        old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        done = {key(f["part"], of_dict(f["row"])) for f in old["rows"]} if old and options.rest else ()
        until = begin + 60 * options.minutes
        found, left_out = run([part], options.quick, until, one, tell, done=frozenset(done))
        new = {
            "schema": gpu_report.SCHEMA, "seed": options.seed, "command": "python benchmarks/gpu.py", "parts": [part],
            "machine": machine, **at_most, "rows": found, "left_out": left_out,
        }  # fmt: skip
        document = gpu_report.merged(old, new)
        report.write(path, document)
    gpu_report.show(console, document)
    console.print(f"written to {path}", **report.PLAIN)
    return 1 if any(found["refused"].get("ours") for found in document["rows"]) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:
        sys.exit(f"gpu.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
