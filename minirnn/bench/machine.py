"""The stamp on a result (CPU, libraries, threads, load), and the threads and cores of a process that measures."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import sys
from pathlib import Path
from typing import Any

import minirnn
import minirnn_kernels
from minirnn.machine import blas_libraries, cpu_model, describe_blas, package_version, simd_features, usable_cpus

__all__ = ["THREAD_VARIABLES", "Others", "cores", "environment", "stamp", "use_cores"]

THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("minirnn", "numpy", "numba", "llvmlite", "torch", "jax", "jaxlib", "onnxruntime")


def environment(threads: int) -> dict[str, str]:
    """Return an environment for a process that finds the same packages and whose libraries use `threads` threads."""
    paths = [str(Path(module.__file__ or "").parent.parent) for module in (minirnn, minirnn_kernels)]
    paths += [given] if (given := os.environ.get("PYTHONPATH")) else []
    found = os.pathsep.join(dict.fromkeys(os.pathsep.join(paths).split(os.pathsep)))
    return os.environ | {name: str(threads) for name in THREAD_VARIABLES} | {"PYTHONPATH": found}


def use_cores(count: int) -> None:
    """Restrict this process to `count` logical CPUs, on different cores if possible. JAX uses all of them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores()[:count])


def cores() -> list[int]:
    """Return the logical CPUs that this process may use, with one of each core before any second one."""
    usable = usable_cpus()
    firsts = [cpu for cpu in usable if _siblings(cpu)[0] == cpu]
    return [*firsts, *(cpu for cpu in usable if cpu not in firsts)]


def _siblings(cpu: int) -> list[int]:
    """Return the logical CPUs of the same core, which Linux lists as "0,4" or "0-1"; elsewhere only `cpu` itself."""
    with contextlib.suppress(OSError, ValueError):
        text = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
        return sorted(int(part) for part in text.replace("-", ",").split(","))
    return [cpu]


def stamp() -> dict[str, Any]:
    """Return the date, the machine, the versions and the BLAS libraries that are loaded now."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "cores": len(cores()),
        "simd": simd_features(),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "versions": {name: version for name in PACKAGES if (version := package_version(name))},
        "blas": [describe_blas(library) for library in blas_libraries()],
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


class Others:
    """The share of the cores that other programs take, from construction on. Only for Linux; elsewhere it is None."""

    def __init__(self) -> None:
        self._begin = _times()

    def share(self) -> float | None:
        """Return their share of the time of all cores, 0 to 1."""
        if self._begin is None or (now := _times()) is None:
            return None
        total, busy, own = (b - a for a, b in zip(self._begin, now, strict=True))
        return min(1.0, max(0.0, (busy - own) / total)) if total > 0 else None


def _times() -> tuple[float, float, float] | None:
    """Return seconds of all cores: in total, not idle, and of this process with its ended children."""
    try:
        user, nice, system, idle, iowait, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    except (OSError, ValueError):
        return None
    own = os.times()
    busy = user + nice + system + sum(rest)
    tick = os.sysconf("SC_CLK_TCK")
    return (busy + idle + iowait) / tick, busy / tick, sum(own[:4])
