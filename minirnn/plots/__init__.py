"""Figures of recurrent networks: functions that take arrays and return matplotlib figures in one style.

The functions called `draw_…` draw into the given axes. matplotlib comes with the extra `plots` and is imported when
the first figure is drawn.
"""

from minirnn.plots.attention import attention_and_states, draw_attention
from minirnn.plots.reach import draw_decay, draw_influence, draw_trace, gate_traces
from minirnn.plots.style import MatplotlibMissing, PlotError, check, lines, log_ticks, new_figure, save, style

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
    "log_ticks",
    "new_figure",
    "save",
    "style",
]
