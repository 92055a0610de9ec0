"""A student's functions, created from text in this process."""

from minirnn.assignments import TASKS, Functions, judge
from minirnn.assignments.catalogue import gallery
from minirnn.commands.learn.bugs import functions as load


def answers(**replaced):
    """Return the model answers with some functions replaced."""
    return Functions({**load(gallery.answers()).functions, **replaced})


def judged(source, task, **options):
    """Return the finding on one task of a file's text."""
    return judge(load(source), TASKS[task], **options)
