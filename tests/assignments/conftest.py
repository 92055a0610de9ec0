"""The benchmark's students' files and mutants, which know nothing of the matcher, serve the tests too."""

import sys
from pathlib import Path

FOLDERS = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "benchmarks")]
sys.path += [folder for folder in FOLDERS if folder not in sys.path]
