"""How the kernels are compiled and cached.

Numba keeps what it compiles on disk and forgets it when the function's own file changes. These functions also consist
of what other files of this package emit, so here the stamp that is compared is that of all of them together.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

# Private names of Numba's that are used below, because there are no public ones: `_cache._cache_file._source_stamp`,
# which a cache entry is compared with; `CFunc`, which `numba.cfunc` makes too, but compiles before a stamp can be set.


def _stamp() -> tuple[tuple[float, int], ...]:
    """Return the time and size of every source file in this folder: compiled code may depend on any of them."""
    stats = [path.stat() for path in sorted(Path(__file__).parent.rglob("*.py"))]
    return tuple((s.st_mtime, s.st_size) for s in stats)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile at the first call, without the interpreter's lock, and keep the result on disk where there is a place."""
    return _cached(numba.njit(nogil=True, error_model="numpy")(function))


def compiled_threads(function: Callable[..., Any]) -> Any:
    """The same, with the function's `prange` loops spread over threads."""
    return _cached(numba.njit(nogil=True, error_model="numpy", parallel=True)(function))


def compiled_for(function: Any, signature: tuple[Any, ...]) -> Any:
    """A compiled function as one that takes these types only: TypeError for others, read-only arrays where it says."""
    parallel = bool(function.targetoptions.get("parallel"))
    made = (compiled_threads if parallel else compiled)(function.py_func)
    made.compile(signature)
    made.disable_compile()
    return made


def address(function: Callable[..., Any], signature: Any) -> int:
    """Compile the function for a C caller, or load it, and tell where it is. Keep `_callables` to keep it there."""
    callable_ = _cfunc(function, signature)
    _callables.append(callable_)
    return int(callable_.address)


_callables: list[Any] = []


def _cfunc(function: Callable[..., Any], signature: Any) -> Any:
    from numba.core import sigutils
    from numba.core.ccallback import CFunc

    made: Any = CFunc(function, sigutils.normalize_signature(signature), locals={}, options={"error_model": "numpy"})
    try:
        made.enable_caching()
        made._cache._cache_file._source_stamp = _stamp()
    except RuntimeError:
        pass
    made.compile()
    return made


def _cached(dispatcher: Any) -> Any:
    if numba.config.DISABLE_JIT:  # then this is the Python function itself
        return dispatcher
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # no folder that can be written to: compile in each process
        return dispatcher
    dispatcher._cache._cache_file._source_stamp = _stamp()
    return dispatcher
