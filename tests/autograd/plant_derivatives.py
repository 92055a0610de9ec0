"""Plant a wrong derivative in each operation in turn: every one must make a test of the operation fail.

    python tests/autograd/plant_derivatives.py

Prints where each error was planted (the kinds are explained in planted.py), and the case and judge of the tests that
found it. Exits with 1 if one survives, or if a rule or a composed function is reached by no case.
"""

import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "kernels")]

from tests.autograd.planted import finder, places  # noqa: E402
from tests.autograd.test_ops import unreached  # noqa: E402


def main() -> int:
    start = time.perf_counter()
    reached = places()
    missing = unreached(set(reached))
    survivors = 0
    for place, cases in reached.items():
        found = finder(place, cases)
        survivors += found is None
        print(f"{place!s:34} {found or 'SURVIVED'}")
    for name in missing:
        print(f"{name}: no case comes by")
    print(f"{len(reached)} errors planted, {survivors} survived, {time.perf_counter() - start:.0f} s")
    return 1 if survivors or missing else 0


if __name__ == "__main__":
    sys.exit(main())
