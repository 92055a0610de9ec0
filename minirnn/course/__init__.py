"""The claims of a course week on recurrent networks, each as an experiment that says whether it held."""

from minirnn.course.experiment import EXPERIMENTS, Effort, Experiment, Outcome, Progress, Table, find

__all__ = ["EXPERIMENTS", "Effort", "Experiment", "Outcome", "Progress", "Table", "find"]
