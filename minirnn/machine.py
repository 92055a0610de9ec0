"""Facts about this machine that are stored with results and checkpoints: the CPU and the loaded BLAS libraries."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "blas_libraries",
    "cpu_model",
    "describe_blas",
    "first_line",
    "package_version",
    "simd_features",
    "usable_cpus",
]


def cpu_model() -> str:
    """Return the name of the CPU as the operating system reports it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        return first_line("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()
    return platform.processor() or "unknown"


def usable_cpus() -> list[int]:
    """Return the numbers of the logical CPUs that this process is allowed to run on, in order."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def simd_features() -> list[str]:
    """Return the instruction sets that NumPy found on this CPU, under NumPy's names (X86_V4 is AVX-512)."""
    config: Any = np.show_config(mode="dicts")
    extensions = config.get("SIMD Extensions", {})
    return [*extensions.get("baseline", []), *extensions.get("found", [])]


def blas_libraries() -> list[dict[str, Any]]:
    """Return threadpoolctl's report on each BLAS library that is loaded in this process."""
    threadpoolctl: Any = importlib.import_module("threadpoolctl")
    return [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]


def describe_blas(library: dict[str, Any]) -> str:
    """Return one of threadpoolctl's reports as a short text: name, version, kernels, threads."""
    name = f"{library.get('internal_api', 'unknown')} {library.get('version') or ''}".strip()
    kernels = library.get("architecture") or "unknown"
    return f"{name}, {kernels} kernels, {library.get('num_threads', '?')} threads"


def package_version(package: str) -> str | None:
    """Return the version of an installed package, or None if it isn't installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def first_line(*command: str) -> str:
    """Return the first line that a system command prints, or "" if the command is missing or fails."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip().partition("\n")[0]
