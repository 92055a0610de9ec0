"""NVIDIA's run-time compiler NVRTC, called through ctypes: it compiles CUDA C++ to a cubin and reports resource usage.

It needs neither a driver nor a GPU. `library()` is None if its wheel is not installed.
"""

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata

WHEELS = ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")  # CUDA 13 and later, CUDA 12


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiler, or None if none of its wheels is installed."""
    for wheel in WHEELS:
        try:
            files = metadata.files(wheel) or ()
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if re.fullmatch(r"libnvrtc\.so\.\d+|nvrtc64_\d+_\d+\.dll", file.name):
                return ctypes.CDLL(str(file.locate()))
    return None


def version() -> tuple[int, int]:
    """Return the version: (13, 0) for CUDA 13.0."""
    nvrtc, major, minor = _loaded(), ctypes.c_int(), ctypes.c_int()
    _check(nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


@dataclass(frozen=True)
class Usage:
    """The resources of a kernel: registers per thread, static shared bytes per block, local bytes per thread."""

    registers: int
    shared: int
    stack: int
    spill_stores: int
    spill_loads: int


@dataclass(frozen=True)
class Compiled:
    """A cubin, the resources of its kernels by name, and the warnings of the compiler."""

    cubin: bytes
    kernels: dict[str, Usage]
    warnings: str


class CompileError(Exception):
    """The log of a compilation that failed."""


def compile(source: str, name: str, options: tuple[str, ...], architecture: int) -> Compiled:
    """Compile a source to machine code for one architecture, 80 or 90. CompileError if the source has an error."""
    nvrtc, program = _loaded(), ctypes.c_void_p()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None))
    try:
        given = [*options, f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v"]
        result = nvrtc.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*map(str.encode, given)))
        log = _text(nvrtc, program, "ProgramLog").rstrip(b"\0").decode()
        if result:
            raise CompileError(f"{name} {' '.join(given)}\n{log}")
        return Compiled(_text(nvrtc, program, "CUBIN"), *_read(log))
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _loaded() -> ctypes.CDLL:
    if (nvrtc := library()) is None:
        raise RuntimeError(f"NVRTC is not installed: pip install {WHEELS[0]}")
    return nvrtc


def _check(result: int) -> None:
    if result:
        name = _loaded().nvrtcGetErrorString
        name.restype = ctypes.c_char_p
        raise RuntimeError(f"NVRTC: {name(result).decode()}")


def _text(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


# The lines that ptxas -v prints for each kernel. Any other line is a warning.
_ENTRY = re.compile(r"ptxas info +: Compiling entry function '(\w+)'")
_STACK = re.compile(r"ptxas +\. +(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"ptxas info +: Used (\d+) registers(?:.*?, (\d+) bytes smem)?")
_OTHER = re.compile(r"ptxas info +: (\d+ bytes gmem|Function properties for|Compile time =)|\s*$")


def _read(log: str) -> tuple[dict[str, Usage], str]:
    kernels: dict[str, Usage] = {}
    rest, name, stack = [], "", (0, 0, 0)
    for line in log.splitlines():
        if found := _ENTRY.match(line):
            name = found[1]
        elif found := _STACK.match(line):
            stack = (int(found[1]), int(found[2]), int(found[3]))
        elif found := _USED.match(line):
            kernels[name] = Usage(int(found[1]), int(found[2] or 0), *stack)
        elif not _OTHER.match(line):
            rest.append(line)
    return kernels, "\n".join(rest)
