"""A student's functions from text, in this process."""

from minirnn.assignments import TASKS, Functions, judge
from minirnn.assignments.catalogue import gallery


def load(source):
    """The functions of a file's text; loading them anew runs the text again."""
    code = compile(source, "student.py", "exec")

    def run():
        names = {}
        exec(code, names)
        return names

    return Functions(run(), run)


def answers(**replaced):
    """The model answers with some functions replaced."""
    return Functions({**load(gallery.answers()).functions, **replaced})


def judged(source, task, **options):
    return judge(load(source), TASKS[task], **options)
