"""Figures of recurrent networks: functions that take arrays and return matplotlib figures, all in one style.

matplotlib is the extra `plots`; it is imported when the first figure is drawn.
"""

from minirnn.plots.style import PlotError, check, lines, new_figure, save, style

__all__ = ["PlotError", "check", "lines", "new_figure", "save", "style"]
