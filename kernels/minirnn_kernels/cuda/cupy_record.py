"""CUDA kernels on a GPU, through CuPy: the record "cupy".

Importing this module raises ImportError if something is missing (CuPy, a newer CuPy, a driver, a GPU) and names it.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from minirnn_kernels.contract import Kernels

OLDEST = (14, 0)  # version of CuPy: the first with bfloat16
INSTALL = "pip install 'minirnn[gpu]'"
CAPABILITY = 80  # compute capability times ten: the first with asynchronous copies, bfloat16 and TF32


def _cupy() -> ModuleType:
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise ImportError(f"CuPy is installed, but {error.name}, which it needs, isn't; {INSTALL}") from error
        raise ImportError(f"CuPy isn't installed; {INSTALL}") from error
    except Exception as error:  # a broken installation of CUDA libraries (OSError) or of CuPy (RuntimeError)
        raise ImportError(f"CuPy is installed, but importing it fails: {_one_line(error)}") from error
    return cupy


def check(cupy: Any) -> None:
    """Raise ImportError, with the reason, if these kernels can't run with this CuPy on this machine."""
    version = str(getattr(cupy, "__version__", "without a version"))
    if _version(version) < OLDEST:
        raise ImportError(f"CuPy {version} is too old, {'.'.join(map(str, OLDEST))} or newer is needed; {INSTALL}")
    runtime = cupy.cuda.runtime
    if getattr(runtime, "is_hip", False):
        raise ImportError("this CuPy is built for AMD GPUs (ROCm); these kernels need an NVIDIA GPU")
    driver = _attempt("CuPy finds no NVIDIA driver", runtime.driverGetVersion)
    if driver == 0:
        raise ImportError("CuPy finds no NVIDIA driver; install one, or use a machine that has one")
    try:
        count = runtime.getDeviceCount()
    except Exception as error:
        if "Insufficient" in str(error):
            raise ImportError(
                f"the NVIDIA driver is too old for this CuPy (it supports CUDA {_cuda(driver)}, CuPy needs "
                f"{_cuda(runtime.runtimeGetVersion())}): {_one_line(error)}"
            ) from error
        raise ImportError(f"there is an NVIDIA driver, but no GPU: {_one_line(error)}") from error
    if count == 0:
        raise ImportError("there is an NVIDIA driver, but no GPU (CUDA_VISIBLE_DEVICES may hide it)")
    capability = str(_attempt("the GPU is not usable", lambda: cupy.cuda.Device().compute_capability))
    if int(capability) < CAPABILITY:
        have, need = (f"{n // 10}.{n % 10}" for n in (int(capability), CAPABILITY))
        raise ImportError(f"the GPU has compute capability {have}, {need} (Ampere) or newer is needed")


def _attempt(message: str, function: Callable[[], Any]) -> Any:
    """Return the result of a function. If it raises, raise an ImportError that begins with `message`."""
    try:
        return function()
    except Exception as error:
        raise ImportError(f"{message}: {_one_line(error)}") from error


def _version(text: str) -> tuple[int, int]:
    """Return the first two numbers of a version, or (0, 0) if the text is not a version."""
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)


def _cuda(version: int) -> str:
    """Return CUDA's version number as text: 13020 is "13.2"."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _one_line(error: Exception) -> str:
    """Return the type of an error and the first line of its message."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def _record() -> Kernels:
    check(_cupy())
    try:
        from cupy_backends.cuda.libs import cublas, nvrtc  # noqa: F401  loads the libraries

        nvrtc.getVersion()
    except Exception as error:
        raise ImportError(
            f"CuPy works, but a CUDA library that these kernels need is missing; {INSTALL}: {_one_line(error)}"
        ) from error
    from minirnn_kernels.cuda import sequences
    from minirnn_kernels.cuda.cupy_device import CupyDevice

    return sequences.kernels(CupyDevice())


KERNELS = _record()
