"""Where quantization hurts a model, and recipes that mend it."""

from hybridquant.analysis.entry import Analysis, analyze
from hybridquant.analysis.fallback import Fallback, Step, limit_drop
from hybridquant.analysis.operators import Operator
from hybridquant.analysis.page import Chosen, analysis_page
from hybridquant.analysis.raising import Raise
from hybridquant.analysis.ranges import ChannelRanges, channel_ranges
from hybridquant.analysis.sensitivity import METRICS, Sensitivity, measure
from hybridquant.analysis.tables import (
    analysis_csv,
    analysis_data,
    fallback_data,
    fallback_table,
    raises_data,
    worst_table,
)

__all__ = [
    "METRICS",
    "Analysis",
    "ChannelRanges",
    "Chosen",
    "Fallback",
    "Operator",
    "Raise",
    "Sensitivity",
    "Step",
    "analysis_csv",
    "analysis_data",
    "analysis_page",
    "analyze",
    "channel_ranges",
    "fallback_data",
    "fallback_table",
    "limit_drop",
    "measure",
    "raises_data",
    "worst_table",
]
