"""What this machine offers and what would make it faster: versions, CPU, BLAS, kernels, GPU, folders.

Nothing here is needed to compute anything. `examine` returns facts as text, for `minirnn doctor` to print.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.autograd import devices

__all__ = ["Finding", "advice", "blas_libraries", "cuda_levels", "examine", "summary"]

PACKAGES = ("numpy", "numba", "safetensors", "typer", "rich", "threadpoolctl", "pooch", "torch")
AVX512 = frozenset({"X86_V4", "AVX512_SKX"})  # NumPy's names, new and old, for the set that SkylakeX kernels need
LSTM_SIZES = ((50, 50, 128), (25, 64, 512), (25, 64, 1024))  # T, B, H: char-rnn's, and two of DeepBench
AVX2_KERNELS = frozenset({"Haswell", "Zen"})


@dataclass(frozen=True)
class Finding:
    """One line of the examination: what was looked at, what was found."""

    subject: str
    text: str


def examine() -> list[Finding]:
    """Everything, in the order in which it is shown. Takes a second or two: it looks for CUDA."""
    import minirnn_kernels

    found = [Finding("Python", f"{platform.python_version()} ({sys.platform}, {platform.machine()})")]
    found += [Finding(name, _version(name) or "not installed") for name in ("minirnn", *PACKAGES)]
    found += [Finding("CPU", f"{cpu_model()}, {usable_cores()} of {os.cpu_count()} cores usable")]
    found += [Finding("CPU features", " ".join(simd_features()) or "unknown")]
    libraries = blas_libraries()
    found += [Finding("BLAS", describe_blas(library)) for library in libraries] or [Finding("BLAS", "none found")]
    for name, reason in minirnn_kernels.available().items():
        found.append(Finding(f"kernels: {name}", reason or "can run here"))
    found += [Finding("CuPy", _cupy()), Finding("GPU", _gpu())]
    found += [Finding("CUDA", text) for text in cuda_levels()]
    return [*found, Finding("data folder", _data_folder())]


def summary() -> list[Finding]:
    """The three lines that matter most for speed."""
    libraries = "; ".join(describe_blas(library) for library in blas_libraries()) or "none found"
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    cpu = f"{cpu_model()}, {usable_cores()} cores, {' '.join(simd_features())}"
    return [Finding("versions", versions), Finding("CPU", cpu), Finding("BLAS", libraries)]


def advice() -> list[str]:
    """What would make it faster, each a sentence that says what to do; empty if nothing is known."""
    wide = bool(AVX512 & set(simd_features()))
    found = [text for library in blas_libraries() for text in blas_advice(library, wide, usable_cores())]
    return found + gpu_advice()


def blas_advice(library: dict[str, Any], wide: bool, cores: int) -> list[str]:
    """Advice on one BLAS, on a CPU that has AVX-512 if `wide`, and that many usable cores."""
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
    """Why an NVIDIA GPU that is there can't be used; nothing on a machine without one."""
    import minirnn_kernels

    reason = minirnn_kernels.available()["cupy"]
    if reason is None or not _nvidia_smi():
        return []
    return [f"There is an NVIDIA GPU, but minirnn can't compute on it: {reason}"]


def blas_libraries() -> list[dict[str, Any]]:
    """What threadpoolctl reports about each BLAS that is loaded in this process."""
    threadpoolctl: Any = importlib.import_module("threadpoolctl")
    return [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]


def describe_blas(library: dict[str, Any]) -> str:
    """Such a report in words."""
    name = f"{library.get('internal_api', 'unknown')} {library.get('version') or ''}".strip()
    kernels = library.get("architecture") or "unknown"
    return f"{name}, {kernels} kernels, {library.get('num_threads', '?')} threads"


def cpu_model() -> str:
    """The CPU's name as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()
    return platform.processor() or "unknown"


def simd_features() -> list[str]:
    """The instruction sets that NumPy found on this CPU, in NumPy's names (X86_V4 is AVX-512)."""
    config: Any = np.show_config(mode="dicts")
    extensions = config.get("SIMD Extensions", {})
    return [*extensions.get("baseline", []), *extensions.get("found", [])]


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    if package == "minirnn":
        from minirnn import __version__

        return f"{__version__} (not installed, run from its folder)"
    return None


def _cupy() -> str:
    if reason := devices.why_not_cupy():
        return reason
    cupy: Any = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    return f"{cupy.__version__}, CUDA {_cuda(runtime.runtimeGetVersion())}, driver {_cuda(runtime.driverGetVersion())}"


def _gpu() -> str:
    """The current GPU as CuPy sees it, else what nvidia-smi says."""
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
    return _output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")


def _cuda(version: int) -> str:
    """CUDA's way of writing versions, 13020, in the usual one."""
    return f"{version // 1000}.{version % 1000 // 10}"


def cuda_levels() -> list[str]:
    """How the kernels "cupy" would compute LSTMs of a few sizes on this GPU; nothing where they can't run.

    An estimate chooses, and none of it was measured here.
    """
    import minirnn_kernels

    if minirnn_kernels.available()["cupy"] is not None:
        return []
    from minirnn_kernels.cell import LSTM
    from minirnn_kernels.cuda.levels import explain
    from minirnn_kernels.cuda.plans import STORAGES, Work

    found = []
    for T, B, H in LSTM_SIZES:
        try:
            text = explain(Work(LSTM, STORAGES["float32"], T, B, H), _properties())
        except ValueError as error:  # MINIRNN_CUDA_LEVEL asks for what isn't there
            text = str(error)
        found.append(f"LSTM, {T} steps, batch {B}, {H} units: {text}")
    return found


def _properties() -> Any:
    """What the kernels' choice of a level depends on, of the current GPU."""
    device: Any = importlib.import_module("minirnn_kernels.cuda.cupy_device")
    return device.CupyDevice().properties


def _data_folder() -> str:
    from minirnn.language import data_folder

    folder = data_folder()
    if not folder.is_dir():
        return f"{folder} (not there yet)"
    names = ", ".join(sorted(path.name for path in folder.iterdir())) or "empty"
    return f"{folder} ({names})"


def _output(*command: str) -> str:
    """The first line that a system command prints, or "" if it isn't there or fails."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip().partition("\n")[0]
