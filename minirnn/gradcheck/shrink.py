"""The smallest problem that still shows a mistake: fewer and smaller axes, fewer things that aren't zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

__all__ = ["shrink"]


def shrink(
    fails: Callable[[dict[str, int], frozenset[str]], bool],
    sizes: Mapping[str, int],
    switches: Sequence[str] = (),
    most: int = 60,
) -> tuple[dict[str, int], frozenset[str]]:
    """The smallest sizes, and the most switches thrown, at which `fails(sizes, thrown)` is still true.

    Greedy: each size from 1 upwards, then each switch, again until nothing changes. A switch stands for a
    simplification (an input set to zero). `fails` is called at most `most` times and must be true for the start.
    """
    best, thrown = dict(sizes), frozenset[str]()
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
                if tried({**best, name: size}, thrown):
                    best, changed = {**best, name: size}, True
                    break
        for switch in switches:
            if switch not in thrown and tried(best, thrown | {switch}):
                thrown, changed = thrown | {switch}, True
    return best, thrown
