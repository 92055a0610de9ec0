"""Course assignments: their functions, the known mistakes in them, and the check that names a student's mistake.

`judge` judges one pair of functions in this process. `check_file` judges a whole file in a child process.
"""

from minirnn.assignments.catalogue.mistakes import MISTAKES, Mistake
from minirnn.assignments.catalogue.tasks import TASKS, Task
from minirnn.assignments.diagnosis.files import FileReport, check_file, sweep_file
from minirnn.assignments.diagnosis.judging import Finding, judge
from minirnn.assignments.diagnosis.render import as_dict, text
from minirnn.assignments.diagnosis.reproduction import reproduce
from minirnn.assignments.sandbox.observe import Functions
from minirnn.assignments.sandbox.runner import CannotLoad

__all__ = [
    "MISTAKES",
    "TASKS",
    "CannotLoad",
    "FileReport",
    "Finding",
    "Functions",
    "Mistake",
    "Task",
    "as_dict",
    "check_file",
    "judge",
    "reproduce",
    "sweep_file",
    "text",
]
