"""The claims of a course on recurrent networks: each is an experiment that says whether the claim held."""

from minirnn.course.experiment import EXPERIMENTS, Effort, Experiment, Outcome, Progress, Table, find

__all__ = ["EXPERIMENTS", "Effort", "Experiment", "Outcome", "Progress", "Table", "find"]
