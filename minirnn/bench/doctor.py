"""The facts that `minirnn doctor` prints, and advice on speed: versions, CPU, BLAS, kernels, GPU, folders.

No other part of minirnn depends on this module.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

import minirnn
import minirnn_kernels
from minirnn.autograd import devices
from minirnn.machine import (
    blas_libraries,
    cpu_model,
    describe_blas,
    first_line,
    package_version,
    simd_features,
    usable_cpus,
)

__all__ = ["Fact", "advice", "cuda_levels", "examine", "summary"]

PACKAGES = ("numpy", "numba", "safetensors", "typer", "rich", "threadpoolctl", "pooch", "torch")
AVX512 = frozenset({"X86_V4", "AVX512_SKX"})  # NumPy's new and old name; OpenBLAS's SkylakeX kernels need it
LSTM_SIZES = ((50, 50, 128), (25, 64, 512), (25, 64, 1024))  # T, B, H: char-rnn, and two of DeepBench
AVX2_KERNELS = frozenset({"Haswell", "Zen"})


@dataclass(frozen=True)
class Fact:
    """One line of the report."""

    subject: str
    text: str


def examine() -> list[Fact]:
    """Return all facts in the order of the report. Takes a second or two, because it looks for CUDA."""
    kernels = minirnn_kernels.available().items()
    return [
        Fact("Python", f"{platform.python_version()} ({sys.platform}, {platform.machine()})"),
        *(Fact(name, _version(name) or "not installed") for name in ("minirnn", *PACKAGES)),
        Fact("CPU", f"{cpu_model()}, {len(usable_cpus())} of {os.cpu_count()} cores usable"),
        Fact("CPU features", " ".join(simd_features()) or "unknown"),
        *(Fact("BLAS", text) for text in [*map(describe_blas, blas_libraries())] or ["none found"]),
        *(Fact(f"kernels: {name}", reason or "can run here") for name, reason in kernels),
        Fact("CuPy", _cupy()),
        Fact("GPU", _gpu()),
        *(Fact("CUDA", text) for text in cuda_levels()),
        Fact("data folder", _data_folder()),
    ]


def summary() -> list[Fact]:
    """Return the three facts that matter most for speed."""
    libraries = "; ".join(describe_blas(library) for library in blas_libraries()) or "none found"
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    cpu = f"{cpu_model()}, {len(usable_cpus())} cores, {' '.join(simd_features())}"
    return [Fact("versions", versions), Fact("CPU", cpu), Fact("BLAS", libraries)]


def advice() -> list[str]:
    """Return sentences that each say how to make computations faster; empty if there is no advice."""
    wide = bool(AVX512 & set(simd_features()))
    found = [text for library in blas_libraries() for text in blas_advice(library, wide, len(usable_cpus()))]
    return found + gpu_advice()


def blas_advice(library: dict[str, Any], wide: bool, cores: int) -> list[str]:
    """Return advice on one BLAS library.

    library: a report of threadpoolctl. wide: whether the CPU has AVX-512. cores: the number of usable cores.
    """
    found = []
    if wide and library.get("internal_api") == "openblas" and library.get("architecture") in AVX2_KERNELS:
        found.append(
            f"This CPU has AVX-512, but OpenBLAS uses its {library['architecture']} kernels (AVX2). Try "
            "OPENBLAS_CORETYPE=SkylakeX in the environment before Python starts: large products may run faster."
        )
    if library.get("num_threads", cores) < cores:
        found.append(
            f"BLAS uses {library['num_threads']} of {cores} cores. Raise or remove OPENBLAS_NUM_THREADS, "
            "OMP_NUM_THREADS and MKL_NUM_THREADS to let large products use the others."
        )
    return found


def gpu_advice() -> list[str]:
    """Return the reason why an NVIDIA GPU can't be used; empty on a machine without one, or if it can be used."""
    reason = minirnn_kernels.available()["cupy"]
    if reason is None or not _nvidia_smi():
        return []
    return [f"There is an NVIDIA GPU, but minirnn can't compute on it: {reason}"]


def _version(package: str) -> str | None:
    if package == "minirnn" and package_version(package) is None:
        return f"{minirnn.__version__} (not installed, run from its folder)"
    return package_version(package)


def _cupy() -> str:
    if reason := devices.why_not_cupy():
        return reason
    cupy: Any = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    return f"{cupy.__version__}, CUDA {_cuda(runtime.runtimeGetVersion())}, driver {_cuda(runtime.driverGetVersion())}"


def _gpu() -> str:
    """Return the description of the current GPU by CuPy, or by nvidia-smi if CuPy can't use it."""
    if devices.why_not_cupy() is not None:
        return _nvidia_smi() or "none found"
    runtime: Any = importlib.import_module("cupy").cuda.runtime
    found = runtime.getDeviceProperties(runtime.getDevice())
    name = found["name"].decode() if isinstance(found["name"], bytes) else found["name"]
    others = runtime.getDeviceCount() - 1
    return (
        f"{name}, compute capability {found['major']}.{found['minor']}, {found['totalGlobalMem'] / 2**30:.0f} GiB, "
        f"{found['multiProcessorCount']} multiprocessors" + f"; {others} more" * bool(others)
    )


def _nvidia_smi() -> str:
    return first_line("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")


def _cuda(version: int) -> str:
    """Return a version that CUDA writes as 13020 in the usual form, 13.2."""
    return f"{version // 1000}.{version % 1000 // 10}"


def cuda_levels() -> list[str]:
    """Return how the kernels "cupy" would compute LSTMs of a few sizes on this GPU; empty if they can't run.

    The choice is based on estimates, not on measurements.
    """
    if minirnn_kernels.available()["cupy"] is not None:
        return []
    from minirnn_kernels.cell import LSTM
    from minirnn_kernels.cuda.levels import explain
    from minirnn_kernels.cuda.plans import STORAGES, Work

    found = []
    for T, B, H in LSTM_SIZES:
        try:
            text = explain(Work(LSTM, STORAGES["float32"], T, B, H), _properties())
        except ValueError as error:  # MINIRNN_CUDA_LEVEL requests a level that isn't available
            text = str(error)
        found.append(f"LSTM, {T} steps, batch {B}, {H} units: {text}")
    return found


def _properties() -> Any:
    """Return the properties of the current GPU that the choice of a level depends on."""
    device: Any = importlib.import_module("minirnn_kernels.cuda.cupy_device")
    return device.CupyDevice().properties


def _data_folder() -> str:
    from minirnn.language import data_folder

    folder = data_folder()
    if not folder.is_dir():
        return f"{folder} (not there yet)"
    names = ", ".join(sorted(path.name for path in folder.iterdir())) or "empty"
    return f"{folder} ({names})"
