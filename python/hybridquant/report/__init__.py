"""Figures about models, and how they are printed."""

from hybridquant.report.metrics import Fidelity, Predictions, fidelity, predict
from hybridquant.report.size import Coverage, coverage, float_bytes, packed_bytes
from hybridquant.report.table import format_table

__all__ = [
    "Coverage",
    "Fidelity",
    "Predictions",
    "coverage",
    "fidelity",
    "float_bytes",
    "format_table",
    "packed_bytes",
    "predict",
]
