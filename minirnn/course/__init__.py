"""Experiments that test the claims of a course week on recurrent networks; each reports whether its claim held."""

from minirnn.course.experiment import EXPERIMENTS, Effort, Experiment, Outcome, Progress, Table, find

__all__ = ["EXPERIMENTS", "Effort", "Experiment", "Outcome", "Progress", "Table", "find"]
