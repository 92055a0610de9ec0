"""Is this backward pass right? Judged by differences and the complex step; needs NumPy and nothing of minirnn."""

from minirnn.gradcheck.check import check, compare
from minirnn.gradcheck.report import GradientError, Report, Row, Verdict
from minirnn.gradcheck.shrink import shrink
from minirnn.gradcheck.sweep import Sweep, sweep

__all__ = ["GradientError", "Report", "Row", "Sweep", "Verdict", "check", "compare", "shrink", "sweep"]
