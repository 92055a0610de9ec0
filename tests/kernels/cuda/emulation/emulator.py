"""The CUDA sources on the CPU: compiled by g++ with shim.hpp before them, and run on NumPy arrays.

    library = build(source_text, ["-DCELL=LSTM", ...])
    library.run("forward", grid=(4, 1), block=256, shared_bytes=4096, args=[x, None, np.int32(3)], at_once=4, seed=7)

`EmulatedDevice` is a device for `cuda_sequences.kernels` on top of that. Every thread of a launch is a fiber, and who
goes on where a thread waits is drawn anew in each launch, from the device's seed. What would go wrong silently on a GPU
is a LaunchError here, or shows up as NaN:

- a barrier that not all reach, a deadlock, an endless wait: LaunchError, which says who waits where, and the seed;
- a write past the ends of shared memory or of an array (guard zones stand around both): LaunchError;
- arguments that are not of the kernel's types: LaunchError;
- memory that nobody has written, and arrays that have been freed: NaN;
- in a graph's capture, anything but launches: RuntimeError.

Not found: a missing fence, a stale cache, a read past an array's ends (it gives NaN) further away than its guard zone.
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
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
COMPILER = os.environ.get("CXX") or "g++"
FLAGS = ["-std=c++17", "-O2", "-march=native", "-ffp-contract=off", "-fno-strict-aliasing", "-fPIC"]
FLAGS += ["-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-function"]

STEPS = 500_000_000  # switches until a launch is given up: some ten seconds
POLLS = 2_000_000  # polls in a row while nobody does anything else
RESIDENT = 8  # blocks that run side by side, in a launch that doesn't need more

_LOCK = threading.Lock()  # a library runs one launch at a time


class LaunchError(Exception):
    """A launch that went wrong; the message says how, where and with which seed."""


def missing() -> str | None:
    """Why nothing can be compiled here, or None."""
    return None if shutil.which(COMPILER) else f"no {COMPILER} here, which compiles the kernels for the CPU"


# ---- compiling -----------------------------------------------------------------------------------------------------

_KERNEL = re.compile(
    r"""^\s* (?:KERNEL | extern\s+"C"\s+__global__)    # how device.cuh says it, or CUDA itself
    \s+ void \s+ (?:\w+\s*\([^()]*\)\s*|\w+\s+)?       # launch bounds, as they are or by a macro
    (\w+) \s* \(""",
    re.MULTILINE | re.VERBOSE,
)


def build(source: str, options: Sequence[str] = ()) -> "Library":
    """The kernels of a source text, compiled. Of `options`, macros (-D) and warnings (-W) reach the compiler.

    Libraries are kept in the folder for temporary files. RuntimeError with the compiler's words if it refuses.
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
    """What is the same for all kernels, compiled: the scheduler, and numbers."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.[hc]pp"))}
    flags = [*FLAGS, *(["-DEMULATION_UCONTEXT"] if ucontext else [])]
    key = _key(*flags, *texts.values(), _compiler())
    names = [name for name in texts if name.endswith(".cpp")]
    return tuple(_made(f"{key}-{name}.o", [*flags, "-c", str(FOLDER / name)]) for name in names)


def _key(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _made(name: str, arguments: list[str], text: str = "") -> Path:
    """The compiler's output as a file of that name, made now if it isn't there."""
    path = _folder() / name
    if path.exists():
        return path
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # tests run side by side: it is renamed when whole
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
    """Version and machine: what else the libraries depend on."""
    command = [COMPILER, "-march=native", "-Q", "--help=target", "--version"]
    return subprocess.run(command, text=True, capture_output=True, check=False).stdout


@functools.cache
def _folder() -> Path:
    path = Path(tempfile.gettempdir()) / f"minirnn-emulator-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise RuntimeError(f"{path} belongs to somebody else: no libraries are loaded from it")
    return path


class Library:
    """Compiled kernels."""

    def __init__(self, path: Path) -> None:
        self._emulate = ctypes.CDLL(str(path)).emulate

    def run(
        self,
        kernel: str,
        grid: tuple[int, int],
        block: int,
        shared_bytes: int,
        args: Sequence[Any],
        *,
        cluster: int = 1,
        at_once: int = RESIDENT,
        seed: int = 0,
        steps: int = STEPS,
        polls: int = POLLS,
    ) -> None:
        """Run a kernel to its end. args: arrays, None (a null pointer), NumPy scalars; at_once: blocks side by side.

        LaunchError if the arguments don't fit or if it goes wrong.
        """
        packed = args if isinstance(args, Packed) else pack(args)
        values = [ctypes.create_string_buffer(value, len(value)) for value, _, _ in packed]
        pointers = (ctypes.c_void_p * len(packed))(*map(ctypes.addressof, values))
        letters = "".join(letter for _, letter, _ in packed).encode()
        sizes = (ctypes.c_int * len(packed))(*(size for _, _, size in packed))
        message = ctypes.create_string_buffer(4000)
        with _LOCK:
            failed = self._emulate(
                kernel.encode(), grid[0], grid[1], block, cluster, ctypes.c_size_t(shared_bytes), at_once,
                ctypes.c_ulonglong(seed), pointers, letters, sizes, ctypes.c_longlong(steps), ctypes.c_longlong(polls),
                message, ctypes.c_size_t(len(message)),
            )  # fmt: skip
        if failed:
            raise LaunchError(f"{kernel}, seed {seed}: {message.value.decode()}")


class Packed(list[tuple[bytes, str, int]]):
    """Arguments as bytes, which keep no array alive; for each the letter of its kind and the size of an item."""


def pack(args: Sequence[Any]) -> Packed:
    """Arguments as they are at the moment; the letters are those of `Kind` in shim.hpp."""
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
            raise TypeError(f"an argument of a launch is an array, None or a NumPy scalar, not {arg!r}")
    return packed


_LETTERS = {"i": "i", "f": "f", "d": "d", np.dtype(np.int64).char: "l"}


# ---- memory --------------------------------------------------------------------------------------------------------

ALIGNED = 256  # bytes, as CUDA does
GUARD = 4096  # bytes on both sides of each array: a row too many mostly ends there
GUARD_BITS = (0x7FF9, 0x7FFA, 0x7FFC, 0x7FFD)  # quiet NaNs, of which neighbours have different ones
FREED = 64  # arrays whose memory is not used again


class _Piece:
    """A piece of memory between guard zones, all of it NaN at first."""

    def __init__(self, size: int, number: int) -> None:
        self.memory = np.empty(size + 2 * GUARD + ALIGNED, np.uint8)
        start = -self.memory.ctypes.data % ALIGNED + GUARD
        self.address = self.memory.ctypes.data + start
        self.inner = self.memory[start : start + size]
        self.outer = self.memory[start - GUARD : start], self.memory[start + size : start + size + GUARD]
        self.pattern = np.full(GUARD // 2, GUARD_BITS[number % len(GUARD_BITS)], np.uint16).tobytes()
        for zone in self.outer:
            zone[...] = np.frombuffer(self.pattern, np.uint8)
        self.inner[...] = 0xFF

    def touched(self) -> bool:
        """Whether anybody wrote into the guard zones."""
        return any(zone.tobytes() != self.pattern for zone in self.outer)


class _Owner:
    """What an array's `base` is: dies with the last view of it."""

    def __init__(self, piece: _Piece) -> None:
        self.__array_interface__ = {
            "shape": (max(piece.inner.size, 1),),  # NumPy would move an array without bytes elsewhere
            "typestr": "|u1",
            "data": (piece.address, False),
            "version": 3,
        }


class Memory:
    """Arrays between guard zones. Freed ones become NaN and lie there for a while, for who still has their address."""

    def __init__(self) -> None:
        self._pieces: dict[int, tuple[_Piece, str]] = {}
        self._freed: deque[_Piece] = deque(maxlen=FREED)
        self._count = 0

    def empty(self, shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
        """As `np.empty`, full of NaN (ones in all bits)."""
        dtype = np.dtype(dtype)
        shape = (shape,) if np.ndim(shape) == 0 else tuple(shape)
        number = self._count = self._count + 1
        piece = _Piece(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, number)
        owner = _Owner(piece)
        self._pieces[number] = piece, f"{dtype.name} {shape}"
        weakref.finalize(owner, self._free, number).atexit = False
        return np.ndarray(shape, dtype, buffer=np.asarray(owner), order=order)

    def own(self, array: np.ndarray) -> np.ndarray:
        """A copy between guard zones."""
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        copy = self.empty(array.shape, array.dtype, order)
        copy[...] = array
        return copy

    def check(self, what: str) -> None:
        """LaunchError if anybody wrote into a guard zone."""
        for piece, name in list(self._pieces.values()):
            if piece.touched():
                raise LaunchError(f"{what}: a write past the ends of an array, {name}")

    def _free(self, number: int) -> None:
        piece, _ = self._pieces.pop(number)
        piece.inner[...] = 0xFF
        self._freed.append(piece)


class _Words:
    """NumPy, with guard zones around the arrays that it makes."""

    def __init__(self, device: "EmulatedDevice") -> None:
        self._device = device

    def empty(self, shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
        self._device.not_in_capture("xp.empty")
        return self._device.memory.empty(shape, dtype, order)

    def empty_like(self, array: np.ndarray, dtype: Any = None) -> np.ndarray:
        return self.empty(array.shape, dtype or array.dtype)

    def __getattr__(self, name: str) -> Any:
        word = getattr(np, name)
        if isinstance(word, type) or not callable(word):
            return word

        @functools.wraps(word)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self._device.not_in_capture(f"xp.{name}")
            made = word(*args, **kwargs)
            given = any(made is value for value in (*args, *kwargs.values()))
            fresh = isinstance(made, np.ndarray) and made.flags.owndata and not given
            return self._device.memory.own(made) if fresh else made

        return guarded


# ---- the device ----------------------------------------------------------------------------------------------------


class Graph:
    """Launches to be done together. It keeps no array alive, as CUDA's doesn't."""

    def __init__(self, launches: list[Callable[[], None]]) -> None:
        self.launches = launches

    def replay(self) -> None:
        """Do them again."""
        for launch in self.launches:
            launch()


class EmulatedDevice:
    """A device (the protocol of `cuda/device.py`) on NumPy arrays.

    seed: of the order in which threads go on; every launch has another one, made from it.
    properties: what the host's plans see; blocks: how many can be there at once in a cooperative launch.
    source: (configuration, name) -> text, options; by default those of `cuda_source`.
    """

    home = "cpu"

    def __init__(
        self,
        properties: Any = None,
        *,
        seed: int = 0,
        blocks: int = 64,
        source: Callable[[Any, str], tuple[str, Sequence[str]]] | None = None,
    ) -> None:
        self.properties = properties
        self.seed = seed
        self.blocks = blocks
        self.memory = Memory()
        self.xp = _Words(self)
        self.log: list[str] = []  # the kernels launched, by name
        self._source = source or _source
        self._libraries: dict[Any, Library] = {}
        self._capturing: list[Callable[[], None]] | None = None
        self._error = self.memory.empty(1, np.int32)
        self._error[...] = 0

    def matmul(
        self,
        a: np.ndarray,
        b: np.ndarray,
        out: np.ndarray | None = None,
        *,
        dtype: Any = None,
        precision: str = "strict",
    ) -> np.ndarray:
        """a b, summed in float64 and rounded once; "fast" rounds the factors to TF32 before, if they are float32."""
        self.not_in_capture("matmul")
        if out is None:
            out = self.memory.empty((a.shape[0], b.shape[1]), dtype or a.dtype)
        if precision == "fast" and a.dtype == np.float32:
            a, b = to_tf32(a), to_tf32(b)
        with np.errstate(all="ignore"):
            out[...] = a.astype(np.float64) @ b.astype(np.float64)
        return out

    def launch(
        self,
        configuration: Any,
        source: str,
        kernel: str,
        grid: tuple[int, int],
        block: int,
        shared_bytes: int,
        args: Sequence[Any],
        cooperative: bool = False,
    ) -> None:
        """Run a kernel now, or note it if a graph is being captured."""
        library = self._libraries.get((configuration, source))
        if library is None:
            library = self._libraries[configuration, source] = build(*self._source(configuration, source))
        cluster = getattr(configuration, "cluster", 1)
        blocks = grid[0] * grid[1]
        limit = getattr(self.properties, "shared_bytes", shared_bytes)
        if shared_bytes > limit:
            raise LaunchError(f"{kernel}: {shared_bytes:,} bytes of shared memory, a block can have {limit:,}")
        if cooperative and blocks > self.blocks_at_once(configuration, source, kernel, block, shared_bytes):
            raise LaunchError(f"{kernel}: a cooperative launch of {blocks} blocks, {self.blocks} can be there at once")
        packed = pack(args)

        def run() -> None:
            self.log.append(kernel)
            seed = self.seed * 1_000_003 + len(self.log)
            library.run(
                kernel,
                grid,
                block,
                shared_bytes,
                packed,
                cluster=cluster,
                at_once=blocks if cooperative else RESIDENT,
                seed=seed,
            )
            self.memory.check(f"{kernel}, seed {seed}")

        if self._capturing is None:
            run()
        else:
            self._capturing.append(run)

    def blocks_at_once(self, configuration: Any, source: str, kernel: str, block: int, shared_bytes: int) -> int:
        """What the test said."""
        return self.blocks

    def record(self, values: Any, into: np.ndarray | None = None) -> np.ndarray:
        """The bytes of a NumPy scalar, in a new array or in one made before."""
        self.not_in_capture("record")
        if into is None:
            into = self.memory.empty((), np.asarray(values).dtype)
        into[...] = values
        return into

    def address(self, array: np.ndarray | None) -> int:
        """Where an array's first entry lies; 0 for None."""
        return 0 if array is None else array.ctypes.data

    @property
    def error_word(self) -> int:
        """The address of the word that a kernel sets when it has waited for too long."""
        return self._error.ctypes.data

    def failed(self) -> bool:
        """Whether one has, since the last call of this."""
        failed = bool(self._error[0])
        self._error[...] = 0
        return failed

    def graph(self, key: Any, capture: Callable[[], None]) -> Graph:
        """What `capture` launches, not yet done."""
        self.not_in_capture("graph")
        self._capturing = []
        try:
            capture()
            return Graph(self._capturing)
        finally:
            self._capturing = None

    def stream(self) -> int:
        """There is one for each thread."""
        return threading.get_ident()

    def not_in_capture(self, what: str) -> None:
        """RuntimeError in a capture, which takes launches only."""
        if self._capturing is not None:
            raise RuntimeError(f"{what} in the capture of a graph")


def _source(configuration: Any, name: str) -> tuple[str, Sequence[str]]:
    from minirnn_kernels.cuda import source as cuda_source

    return cuda_source.source(name), cuda_source.options(configuration)


def to_tf32(x: np.ndarray) -> np.ndarray:
    """float32 with 10 bits of mantissa: the nearest, ties away from zero."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return np.where(np.isfinite(x), rounded.view(np.float32), x)
