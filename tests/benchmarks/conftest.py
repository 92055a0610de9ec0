"""Puts the folder of the benchmarks on the path, so that the tests can import its modules."""

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parents[2] / "benchmarks")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)
