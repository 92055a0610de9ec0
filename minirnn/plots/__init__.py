"""Figures of recurrent networks: functions that take arrays and return matplotlib figures, all in one style.

Those called `draw_…` draw into axes that they are given. matplotlib is the extra `plots`; it is imported when the first
figure is drawn.
"""

from minirnn.plots.attention import attention_and_states, draw_attention
from minirnn.plots.reach import draw_decay, draw_influence, draw_trace, gate_traces
from minirnn.plots.style import MatplotlibMissing, PlotError, check, lines, new_figure, save, style

__all__ = [
    "MatplotlibMissing",
    "PlotError",
    "attention_and_states",
    "check",
    "draw_attention",
    "draw_decay",
    "draw_influence",
    "draw_trace",
    "gate_traces",
    "lines",
    "new_figure",
    "save",
    "style",
]
