"""Figures about models, and how they are printed."""

from hybridquant.report.canvas import Axis, Plot
from hybridquant.report.metrics import Fidelity, Predictions, fidelity, predict
from hybridquant.report.page import Cell, Page
from hybridquant.report.plots import bar_plot, heat_map, line_plot, range_strip, scatter_plot
from hybridquant.report.significance import mcnemar, wilson_interval
from hybridquant.report.size import Coverage, coverage, float_bytes, packed_bytes
from hybridquant.report.table import format_table
from hybridquant.report.versions import versions

__all__ = [
    "Axis",
    "Cell",
    "Coverage",
    "Fidelity",
    "Page",
    "Plot",
    "Predictions",
    "bar_plot",
    "coverage",
    "fidelity",
    "float_bytes",
    "format_table",
    "heat_map",
    "line_plot",
    "mcnemar",
    "packed_bytes",
    "predict",
    "range_strip",
    "scatter_plot",
    "versions",
    "wilson_interval",
]
