"""Compiling the kernels, and their cache on disk.

Numba caches compiled functions on disk, and recompiles a function when its own source file has changed. These functions
also contain code that other files in this folder emit, so their stamp covers all these files and `cell.py`, whose gate
counts are compiled in.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

# This file uses private names of Numba, because there are no public ones: `_cache._cache_file._source_stamp`, which
# Numba compares with the stamp in a cache entry; and `CFunc`, which `numba.cfunc` makes too, but compiles before the
# stamp can be set.


@cache
def _stamp() -> tuple[tuple[float, int], ...]:
    """Return the time and size of every source file that compiled code can depend on."""
    folder = Path(__file__).parent
    stats = [path.stat() for path in (*sorted(folder.rglob("*.py")), folder.parent / "cell.py")]
    return tuple((s.st_mtime, s.st_size) for s in stats)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile the function at its first call, without holding the interpreter's lock, and cache the result on disk."""
    return _cached(numba.njit(nogil=True, error_model="numpy")(function))


def compiled_threads(function: Callable[..., Any]) -> Any:
    """Do the same as `compiled`, and spread the function's `prange` loops over threads."""
    return _cached(numba.njit(nogil=True, error_model="numpy", parallel=True)(function))


def compiled_for(function: Any, signature: tuple[Any, ...]) -> Any:
    """Return a compiled function that accepts only these types, including read-only arrays; TypeError for others."""
    parallel = bool(function.targetoptions.get("parallel"))
    made = (compiled_threads if parallel else compiled)(function.py_func)
    made.compile(signature)
    made.disable_compile()
    return made


def address(function: Callable[..., Any], signature: Any) -> int:
    """Compile the function for a C caller, or load it from the cache, and return its address."""
    from numba.core import sigutils
    from numba.core.ccallback import CFunc

    made: Any = CFunc(function, sigutils.normalize_signature(signature), locals={}, options={"error_model": "numpy"})
    _cached(made).compile()
    _callables.append(made)
    return int(made.address)


_callables: list[Any] = []  # keeps the code at the addresses in memory


def _cached(function: Any) -> Any:
    """Return the function with caching enabled, if Numba compiles it and a folder for the cache is writable."""
    if numba.config.DISABLE_JIT:  # then `function` is the Python function itself
        return function
    try:
        function.enable_caching()
    except RuntimeError:  # no writable folder: each process compiles
        return function
    function._cache._cache_file._source_stamp = _stamp()
    return function
