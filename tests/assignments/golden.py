"""The messages for all planted mistakes, in one text: `python tests/assignments/golden.py` rewrites golden.txt.

Numbers that depend on the order of rounding (how well a mistake matches) are left out.
"""

import re
from pathlib import Path

from minirnn.assignments import TASKS, judge
from minirnn.assignments.catalogue import gallery
from minirnn.assignments.diagnosis.files import FileReport
from minirnn.assignments.diagnosis.render import finding_lines
from minirnn.commands.learn.bugs import functions

GOLDEN = Path(__file__).with_name("golden.txt")


def message(specimen):
    finding = judge(functions(specimen.source), TASKS[specimen.task])
    report = FileReport("rnn_layers.py", 0, None, 0)
    lines = [f"#### {specimen.name}", *specimen.lines, "", *finding_lines(finding, 4, report), ""]
    return re.sub(r"match \S+ on", "match EPS on", "\n".join(lines))


def whole():
    return "\n".join(message(specimen) for specimen in gallery.specimens())


if __name__ == "__main__":
    GOLDEN.write_text(whole(), encoding="utf-8")
