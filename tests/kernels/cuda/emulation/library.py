"""The CUDA sources on the CPU: compiled by g++ after shim.hpp, and run on NumPy arrays.

    library = build(source_text, ["-DCELL=LSTM", ...])
    library.run(EmulatedLaunch("forward", grid=(4, 1), threads=256, shared_bytes=4096, seed=7), [x, None, np.int32(3)])

Every thread of a launch is a fiber. Wherever a thread waits, the fiber that runs next is drawn at random from the seed.
Errors that would go unnoticed on a GPU raise LaunchError here, or show up as NaN:

- a barrier that some threads do not reach, a deadlock, an endless wait: LaunchError, which says which threads wait
  where, and the seed;
- a write past the ends of shared memory or, with `Memory`, of an array (both are between guard zones): LaunchError;
- arguments that do not have the types of the kernel's parameters: LaunchError;
- a read of memory that was never written, or of an array that was freed: NaN.

Not found: a missing fence, a stale cache, and a read past the ends of an array beyond its guard zone (inside the zone
it gives NaN).
"""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
COMPILER = os.environ.get("CXX") or "g++"
FLAGS = ["-std=c++17", "-O2", "-march=native", "-ffp-contract=off", "-fno-strict-aliasing", "-fPIC"]
FLAGS += ["-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-function"]

RESIDENT = 8  # blocks that run concurrently, in a launch that does not need more

_LOCK = threading.Lock()  # a library runs one launch at a time


class LaunchError(Exception):
    """An error in a launch; the message says what happened, where, and with which seed."""


@dataclass(frozen=True)
class EmulatedLaunch:
    """A kernel, the size of its launch, and the limits after which the launch fails."""

    kernel: str
    grid: tuple[int, int]  # blocks in x and y
    threads: int  # per block
    shared_bytes: int  # per block
    cluster: int = 1  # blocks per cluster
    at_once: int = RESIDENT  # blocks that run concurrently
    seed: int = 0  # of the order of the threads
    switches: int = 500_000_000  # the maximum number of switches between threads: about ten seconds
    polls: int = 2_000_000  # the maximum number of consecutive polls without any other work


def missing() -> str | None:
    """Return the reason why nothing can be compiled on this machine, or None."""
    return None if shutil.which(COMPILER) else f"{COMPILER}, which compiles the kernels for the CPU, is not installed"


# ---- compiling -----------------------------------------------------------------------------------------------------

_KERNEL = re.compile(
    r"""^\s* (?:KERNEL | extern\s+"C"\s+__global__)    # as in device.cuh, or as in CUDA
    \s+ void \s+ (?:\w+\s*\([^()]*\)\s*|\w+\s+)?       # launch bounds, directly or through a macro
    (\w+) \s* \(""",
    re.MULTILINE | re.VERBOSE,
)


def build(source: str, options: Sequence[str] = ()) -> "Library":
    """Compile the kernels of a source text. Only macros (-D) and warnings (-W) in `options` are passed to the compiler.

    Libraries are cached in the folder for temporary files. RuntimeError with the compiler's output if it fails.
    """
    text = "\n".join([source, "", *(f"EMULATED_KERNEL({name})" for name in _KERNEL.findall(source)), ""])
    flags = [*FLAGS, *(option for option in options if option.startswith(("-D", "-W")))]
    runtime = [str(path) for path in _runtime("-DEMULATION_UCONTEXT" in options)]
    files = ["-include", str(FOLDER / "shim.hpp"), "-x", "c++", "-", "-x", "none", *runtime]
    return _load(_made(f"{_key(text, *flags, *runtime)}.so", [*flags, "-shared", *files], text))


@functools.cache
def _load(path: Path) -> "Library":
    return Library(path)


@functools.cache
def _runtime(ucontext: bool) -> tuple[Path, ...]:
    """Compile the parts that all kernels share, the scheduler and the numbers, and return the object files."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.[hc]pp"))}
    flags = [*FLAGS, *(["-DEMULATION_UCONTEXT"] if ucontext else [])]
    key = _key(*flags, *texts.values(), _compiler())
    names = [name for name in texts if name.endswith(".cpp")]
    return tuple(_made(f"{key}-{name}.o", [*flags, "-c", str(FOLDER / name)]) for name in names)


def _key(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _made(name: str, arguments: list[str], text: str = "") -> Path:
    """Return the compiler's output as a cached file of this name, compiling it if necessary."""
    path = _folder() / name
    if path.exists():
        return path
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # tests run in parallel: move whole files
        made = Path(folder) / name
        command = [COMPILER, *arguments, "-o", str(made)]
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{COMPILER} refuses the source:\n{done.stderr}")
        if done.stderr:
            print(done.stderr, file=sys.stderr)
        made.replace(path)
    return path


@functools.cache
def _compiler() -> str:
    """Return the version of the compiler and its target, on which the libraries also depend."""
    command = [COMPILER, "-march=native", "-Q", "--help=target", "--version"]
    return subprocess.run(command, text=True, capture_output=True, check=False).stdout


@functools.cache
def _folder() -> Path:
    path = Path(tempfile.gettempdir()) / f"minirnn-emulator-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise RuntimeError(f"{path} belongs to another user, so no libraries are loaded from it")
    return path


class Library:
    """Compiled kernels."""

    def __init__(self, path: Path) -> None:
        self._emulate = ctypes.CDLL(str(path)).emulate

    def run(self, launch: EmulatedLaunch, args: Sequence[Any]) -> None:
        """Run a kernel until it ends. args: arrays, None (a null pointer) or NumPy scalars, or the result of `pack`.

        Raises LaunchError if the arguments do not fit the kernel, or if an error occurs in the kernel.
        """
        packed = args if isinstance(args, Packed) else pack(args)
        values = [ctypes.create_string_buffer(value, len(value)) for value, _, _ in packed]
        pointers = (ctypes.c_void_p * len(packed))(*map(ctypes.addressof, values))
        letters = "".join(letter for _, letter, _ in packed).encode()
        sizes = (ctypes.c_int * len(packed))(*(size for _, _, size in packed))
        message = ctypes.create_string_buffer(4000)
        with _LOCK:
            failed = self._emulate(
                launch.kernel.encode(), *launch.grid, launch.threads, launch.cluster,
                ctypes.c_size_t(launch.shared_bytes), launch.at_once, ctypes.c_ulonglong(launch.seed), pointers,
                letters, sizes, ctypes.c_longlong(launch.switches), ctypes.c_longlong(launch.polls), message,
                ctypes.c_size_t(len(message)),
            )  # fmt: skip
        if failed:
            raise LaunchError(f"{launch.kernel}, seed {launch.seed}: {message.value.decode()}")


class Packed(list[tuple[bytes, str, int]]):
    """Arguments as tuples: bytes, the letter of the kind, and the size of an item. They keep no array alive."""


def pack(args: Sequence[Any]) -> Packed:
    """Return the current values of some arguments; the letters are those of `Kind` in shim.hpp."""
    packed = Packed()
    for arg in args:
        if arg is None:
            packed.append((bytes(8), "n", 0))
        elif isinstance(arg, np.ndarray):
            letter = "w" if arg.flags.writeable else "r"
            packed.append((arg.ctypes.data.to_bytes(8, sys.byteorder), letter, arg.itemsize))
        elif isinstance(arg, np.generic) and arg.dtype.char in _LETTERS:
            packed.append((arg.tobytes(), _LETTERS[arg.dtype.char], 0))
        else:
            raise TypeError(f"an argument of a launch must be an array, None or a NumPy scalar, not {arg!r}")
    return packed


_LETTERS = {"i": "i", "f": "f", "d": "d", np.dtype(np.int64).char: "l"}
