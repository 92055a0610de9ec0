"""Is this backward pass right? Judged by differences and the complex step; needs NumPy and nothing of minirnn."""

from .check import check, compare
from .report import GradientError, Report, Row, Verdict
from .shrink import shrink
from .sweep import Sweep, sweep

__all__ = ["GradientError", "Report", "Row", "Sweep", "Verdict", "check", "compare", "shrink", "sweep"]
