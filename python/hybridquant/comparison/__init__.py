"""Recipes side by side: every recipe on every model, each cell in a process of its own."""

from hybridquant.comparison.compare import CELLS, FILES, Comparison, compare
from hybridquant.comparison.progress import Estimate
from hybridquant.comparison.row import UNSTEADY, Row
from hybridquant.comparison.subject import Subject, parse_subjects

__all__ = [
    "CELLS",
    "FILES",
    "UNSTEADY",
    "Comparison",
    "Estimate",
    "Row",
    "Subject",
    "compare",
    "parse_subjects",
]
