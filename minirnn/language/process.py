"""Process-wide settings of a long computation: one BLAS thread, a deferred Ctrl-C, and a lock on a folder."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

try:
    import fcntl
except ImportError:  # Windows has no fcntl; two runs in one folder are not detected there
    fcntl = None  # type: ignore[assignment]

import numpy as np

from minirnn.language.config import ConfigError
from minirnn.recurrent import backends

__all__ = ["ctrl_c", "exclusive", "one_blas_thread"]


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread while the recurrent layers use their own threads.

    OpenBLAS's threads spin for a few milliseconds after each product, on the cores that the layers' threads need: a
    training step can take twice as long.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threaded = backends.chosen(np.zeros(1)).name == "numba"
    with threadpool_limits(limits=1, user_api="blas") if threaded else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other processes from training in `folder`. The lock ends with the process, however the process ends."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConfigError(f"{folder}: another process is training in this folder") from None
    finally:
        os.close(handle)


@contextlib.contextmanager
def ctrl_c() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True after the first Ctrl-C. The second Ctrl-C interrupts as usual."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def handler(signum: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            signal.default_int_handler(signum, frame)
        pressed.set()

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
