"""What a result has to be stamped with: the CPU, the libraries and their kernels, threads and load."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

import minirnn
import minirnn_kernels
from minirnn.machine import blas_libraries, cpu_model, describe_blas, simd_features, usable_cpus

__all__ = ["THREAD_VARIABLES", "Others", "cores", "environment", "stamp", "use_cores"]

THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("minirnn", "numpy", "numba", "llvmlite", "torch", "jax", "jaxlib", "onnxruntime")


def environment(threads: int) -> dict[str, str]:
    """This process's environment for one that finds the same packages, and where every library uses so many threads."""
    paths = [str(Path(module.__file__ or "").parent.parent) for module in (minirnn, minirnn_kernels)]
    paths += [given] if (given := os.environ.get("PYTHONPATH")) else []
    found = os.pathsep.join(dict.fromkeys(os.pathsep.join(paths).split(os.pathsep)))
    return os.environ | {name: str(threads) for name in THREAD_VARIABLES} | {"PYTHONPATH": found}


def use_cores(count: int) -> None:
    """Keep this process on `count` of its CPUs, on different cores as far as there are: JAX counts what it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores()[:count])


def cores() -> list[int]:
    """The CPUs that this process may use, the first of each core before the second ones of any."""
    usable = usable_cpus()
    firsts = [cpu for cpu in usable if _siblings(cpu)[0] == cpu]
    return [*firsts, *(cpu for cpu in usable if cpu not in firsts)]


def _siblings(cpu: int) -> list[int]:
    """The CPUs of the same core, as Linux lists them ("0,4" or "0-1"); the CPU itself where it doesn't."""
    with contextlib.suppress(OSError, ValueError):
        text = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
        return sorted(int(part) for part in text.replace("-", ",").split(","))
    return [cpu]


def stamp() -> dict[str, Any]:
    """Date, machine, versions and the BLAS libraries that are loaded now."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "cores": len(cores()),
        "simd": simd_features(),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "blas": [describe_blas(library) for library in blas_libraries()],
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _version(package: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


class Others:
    """How much of the machine's cores other programs take, from construction on. Linux only; elsewhere None."""

    def __init__(self) -> None:
        self._begin = _times()

    def share(self) -> float | None:
        """Their part of all cores' time, 0 to 1."""
        if self._begin is None or (now := _times()) is None:
            return None
        total, busy, own = (b - a for a, b in zip(self._begin, now, strict=True))
        return min(1.0, max(0.0, (busy - own) / total)) if total > 0 else None


def _times() -> tuple[float, float, float] | None:
    """Seconds of all cores: in all, not idle, and those of this process and its ended children."""
    try:
        user, nice, system, idle, iowait, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    except (OSError, ValueError):
        return None
    own = os.times()
    busy = user + nice + system + sum(rest)
    tick = os.sysconf("SC_CLK_TCK")
    return (busy + idle + iowait) / tick, busy / tick, sum(own[:4])
