"""The import path of the tests. They share files and mutants with the benchmark, which were written independently."""

import sys
from pathlib import Path

FOLDERS = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "benchmarks")]
sys.path += [folder for folder in FOLDERS if folder not in sys.path]
