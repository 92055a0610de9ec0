"""A gradient check: compare a backward pass with finite differences and the complex step. It imports only NumPy."""

from minirnn.gradcheck.check import check, compare
from minirnn.gradcheck.report import GradientError, Report, Row, Verdict
from minirnn.gradcheck.shrink import shrink
from minirnn.gradcheck.sweep import Sweep, sweep

__all__ = ["GradientError", "Report", "Row", "Sweep", "Verdict", "check", "compare", "shrink", "sweep"]
