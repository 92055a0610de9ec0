"""User errors of a command: one message on stderr and exit code 2, never a traceback."""

import contextlib
import os
import sys
from collections.abc import Iterator

import numpy as np

import minirnn_kernels
from minirnn.autograd import devices
from minirnn.autograd.devices import DeviceError
from minirnn.bench.errors import BenchError
from minirnn.checkpoint import CheckpointError
from minirnn.language import ConfigError, CorpusError, Diverged, SamplingError, TextTooShort
from minirnn.plots import PlotError
from minirnn.recurrent import backends

__all__ = ["USER_ERRORS", "reported", "usable"]

USER_ERRORS = (  # the exceptions that a user can cause
    BenchError,
    CheckpointError,
    ConfigError,
    CorpusError,
    DeviceError,
    Diverged,
    PlotError,
    SamplingError,
    TextTooShort,
)


def usable(device: str) -> str:
    """Return the device that `--device` names. Raises DeviceError or ConfigError if models can't be computed on it."""
    found = devices.from_name(device)
    try:
        backends.chosen(devices.to(np.zeros(1), found))
    except (ValueError, ImportError, TypeError) as error:
        raise ConfigError(f"--device {device}: {error}") from None
    return found


@contextlib.contextmanager
def reported(command: str) -> Iterator[None]:
    """Turn the exceptions that a user can cause into a message and an exit. Other exceptions are bugs and propagate."""
    try:
        if kernels := os.environ.get("MINIRNN_KERNELS"):
            try:
                minirnn_kernels.get(kernels)
            except (ValueError, ImportError) as error:
                raise ConfigError(f"MINIRNN_KERNELS: {error}") from None
        yield
    except USER_ERRORS as error:
        message, code = str(error), 2
    except MemoryError as error:
        message, code = f"not enough memory: {error}", 2
    except KeyboardInterrupt:
        message, code = "interrupted", 130
    else:
        return
    print(f"minirnn {command}: {message}", file=sys.stderr)
    raise SystemExit(code)
