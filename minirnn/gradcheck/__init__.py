"""Is this backward pass right? Judged by differences and the complex step; needs NumPy and nothing of minirnn."""

from .check import check, compare
from .report import GradientError, Report, Row, Verdict

__all__ = ["GradientError", "Report", "Row", "Verdict", "check", "compare"]
