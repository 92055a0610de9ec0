"""The library's random generator.

Initialisers without the argument `rng`, dropout, and scheduled sampling in a `Trainer` draw from it, in the order of
the calls; nothing else does. Data is never shuffled, and text sampling has its own seed. So `manual_seed(n)` before
building a model fixes its weights and every later dropout mask. The generator's state, stored in a checkpoint,
continues the same sequence of draws.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

__all__ = ["generator", "get_state", "manual_seed", "set_state"]


@functools.cache
def generator() -> np.random.Generator:
    """Return the process-wide generator (PCG64). Its seed is from the operating system until `manual_seed` sets it."""
    return np.random.Generator(np.random.PCG64())


def manual_seed(seed: int) -> np.random.Generator:
    """Restart the process-wide generator from `seed` (an int >= 0). Return it; earlier references stay valid."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed: expected an int >= 0, got {seed!r}")
    generator().bit_generator.state = np.random.PCG64(int(seed)).state
    return generator()


def get_state() -> dict[str, Any]:
    """Return the generator's state as nested dicts of str and (128-bit) int, which JSON can represent."""
    return dict(generator().bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Restore a state that `get_state` returned. Raises ValueError for anything else."""
    try:
        generator().bit_generator.state = state
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise ValueError(f"state: expected a state of the random generator, as from get_state(): {error}") from None
