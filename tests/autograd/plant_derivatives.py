"""Plant a wrong derivative in each operation in turn: the tests of the operation must find every one.

    python tests/autograd/plant_derivatives.py

Prints each place, with the kind of error (see planted.py), and the case and the judge that found it. Exits with 1 if an
error survives, or if no case reaches a rule or a composed function.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

from tests.autograd.planted import finder, places  # noqa: E402
from tests.autograd.test_ops import unreached  # noqa: E402
from tests.planting import survivors  # noqa: E402


def main() -> int:
    reached = places()
    survived = survivors(((place, finder(place, cases)) for place, cases in reached.items()), width=34)
    missing = unreached(set(reached))
    for name in missing:
        print(f"{name}: no case reaches it")
    return 1 if survived or missing else 0


if __name__ == "__main__":
    sys.exit(main())
