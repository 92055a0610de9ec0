"""Course assignments: what is asked for, what is right, what goes wrong, and how it shows.

`judge` judges one pair of functions in this process; `check_file` a whole file in a process of its own.
"""

from .files import FileReport, check_file, sweep_file
from .judging import Finding, judge
from .mistakes import MISTAKES, Mistake
from .observe import Functions
from .render import as_dict, text
from .reproduction import reproduce
from .runner import CannotLoad
from .tasks import TASKS, Task

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
