"""How many threads compiled code may use, and whose turn it is to use them."""

from __future__ import annotations

import os
import threading

import numba

# A child made by fork must not use the threads of its parent, which it doesn't have. And not every threading layer of
# Numba's can be entered by two threads at once: whoever enters it holds `turn`.
turn = threading.Lock()
_forked = False


def _after_fork() -> None:
    global _forked, turn
    _forked = True
    turn = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def how_many() -> int:
    return 1 if _forked else int(numba.get_num_threads())
