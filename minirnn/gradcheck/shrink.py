"""Search for the smallest problem that still shows a mistake: smaller axes, and more inputs set to zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

__all__ = ["shrink"]


def shrink(
    fails: Callable[[dict[str, int], frozenset[str]], bool],
    sizes: Mapping[str, int],
    switches: Sequence[str] = (),
    most: int = 60,
) -> tuple[dict[str, int], frozenset[str]]:
    """Return the smallest sizes and the most switches for which `fails(sizes, switched_on)` is still true.

    The search is greedy: it tries each size from 1 upwards, then each switch, and repeats until nothing changes. A
    switch is a simplification, such as an input set to zero. `fails` is called at most `most` times and must be true
    at the start.
    """
    best, on = dict(sizes), frozenset[str]()
    calls = 0

    def tried(candidate: dict[str, int], simpler: frozenset[str]) -> bool:
        nonlocal calls
        calls += 1
        return calls <= most and fails(candidate, simpler)

    changed = True
    while changed and calls < most:
        changed = False
        for name in best:
            for size in range(1, best[name]):
                if tried({**best, name: size}, on):
                    best, changed = {**best, name: size}, True
                    break
        for switch in switches:
            if switch not in on and tried(best, on | {switch}):
                on, changed = on | {switch}, True
    return best, on
