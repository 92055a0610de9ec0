"""The one generator of random numbers that the library draws from by itself.

Initialisers that are given no `rng`, dropout, and scheduled sampling in a `Trainer` draw from it, in the order in which
they are called; nothing else does.
Data is never shuffled, and sampling text takes a seed of its own. So `manual_seed(n)` before building a model fixes
its weights and every dropout mask after it, and the state below, stored in a checkpoint, continues the same draws.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

__all__ = ["generator", "get_state", "manual_seed", "set_state"]


@functools.cache
def generator() -> np.random.Generator:
    """The process-wide generator (PCG64). Until `manual_seed` is called it is seeded from the operating system."""
    return np.random.Generator(np.random.PCG64())


def manual_seed(seed: int) -> np.random.Generator:
    """Restart the process-wide generator from `seed` (an int >= 0) and return it. References to it stay valid."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be an int >= 0, got {seed!r}")
    generator().bit_generator.state = np.random.PCG64(int(seed)).state
    return generator()


def get_state() -> dict[str, Any]:
    """The generator's state as nested dicts of str and (128-bit) int: JSON can hold it."""
    return dict(generator().bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Put back a state from `get_state`. ValueError if it isn't one."""
    try:
        generator().bit_generator.state = state
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise ValueError(f"not a state of the random generator: {error}") from None
