"""How a command ends when something is wrong: one message on stderr and exit code 2, never a traceback."""

from __future__ import annotations

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
from minirnn.language import CorpusError, TextTooShort
from minirnn.language.sampling import SamplingError
from minirnn.language.training import ConfigError, Diverged
from minirnn.plots import PlotError
from minirnn.recurrent import backends

__all__ = ["MISTAKES", "reported", "usable"]

MISTAKES = (
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


def _check_kernels() -> None:
    """ConfigError if the environment asks for kernels that aren't there, before anything is begun with them."""
    if name := os.environ.get("MINIRNN_KERNELS"):
        try:
            minirnn_kernels.get(name)
        except (ValueError, ImportError) as error:
            raise ConfigError(f"MINIRNN_KERNELS: {error}") from None


def usable(device: str) -> str:
    """The device that `--device` names; DeviceError or ConfigError if models can't be computed there."""
    found = devices.from_name(device)
    array = devices.to(np.zeros(1), found)
    try:
        backends.chosen(array)
    except (ValueError, ImportError, TypeError) as error:
        raise ConfigError(f"--device {device}: {error}") from None
    return found


@contextlib.contextmanager
def reported(command: str) -> Iterator[None]:
    """Turns the exceptions that a user can cause into a message and an exit; anything else is a bug and passes."""
    try:
        _check_kernels()
        yield
    except MISTAKES as error:
        message, code = str(error), 2
    except MemoryError as error:
        message, code = f"not enough memory: {error}", 2
    except KeyboardInterrupt:
        message, code = "interrupted", 130
    else:
        return
    print(f"minirnn {command}: {message}", file=sys.stderr)
    raise SystemExit(code)
