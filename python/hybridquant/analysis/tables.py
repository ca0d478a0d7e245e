"""An analysis as plain data, as CSV and as a table for a terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from hybridquant.analysis.entry import Analysis
from hybridquant.analysis.fallback import Fallback
from hybridquant.analysis.operators import Operator
from hybridquant.analysis.raising import Raise
from hybridquant.analysis.ranges import ChannelRanges
from hybridquant.analysis.sensitivity import Sensitivity, worst_first
from hybridquant.report import Fidelity, format_table

_DIGITS = 6
_CSV = (
    *("index", "rank", "node", "kind", "path", "bits"),
    *("alone_sqnr_db", "alone_kl", "alone_agreement", "fisher"),
    *("without_sqnr_db", "without_kl", "without_agreement", "gain_kl"),
    *("outside", "bits_lost", "median_bits_lost", "largest_to_median"),
)
_WORST = ("#", "operator", "module", "bits", "SQNR dB", "KL", "agreement %", "Fisher", "gain KL")


def analysis_data(analysis: Analysis, metric: str) -> dict[str, Any]:
    """Return the whole analysis as plain data; null where a ratio is infinite."""
    rank = ranks(analysis, metric)
    return {
        "metric": metric,
        "quantized": _plain(asdict(analysis.quantized)),
        "operators": [
            {
                "index": index,
                "rank": rank[found.operator.node],
                **asdict(found.operator),
                "bits": found.operator.bits,
                "alone": _plain(asdict(found.alone)),
                "without": _plain(asdict(found.without)),
                **_plain({"fisher": found.fisher, "gain_kl": found.gain}),
            }
            for index, found in enumerate(analysis.sensitivities)
        ],
        "tensors": [_plain(asdict(tensor)) for tensor in analysis.ranges],
    }


def raises_data(raises: Iterable[Raise], operators: Sequence[Operator]) -> list[dict[str, Any]]:
    """Return raises as plain data, each with the operators that its rule covers."""
    return [
        {**asdict(wanted), "nodes": [op.node for op in covered(wanted, operators)]}
        for wanted in raises
    ]


def fallback_data(fallback: Fallback) -> dict[str, Any]:
    """Return how a search for a small enough drop went as plain data."""
    return {
        "max_drop": fallback.max_drop,
        "metric": fallback.metric,
        "is_reached": fallback.is_reached,
        "drop": fallback.step.drop,
        "raised_weights": fallback.step.weights,
        "raised_inputs": fallback.step.inputs,
        "steps": [_plain(asdict(step)) for step in fallback.steps],
    }


def analysis_csv(analysis: Analysis, metric: str) -> str:
    """Return a line an operator; of what it reads, the tensor with the worst figure counts."""
    rank = ranks(analysis, metric)
    text = io.StringIO()
    writer = csv.DictWriter(text, _CSV, lineterminator="\n")
    writer.writeheader()
    for index, found in enumerate(analysis.sensitivities):
        operator = found.operator
        read = [tensor for tensor in analysis.ranges if operator.node in tensor.nodes]
        row = {
            **{key: getattr(operator, key) for key in ("node", "kind", "path", "bits")},
            **{"index": index, "rank": rank[operator.node]},
            **{f"alone_{key}": value for key, value in asdict(found.alone).items()},
            **{f"without_{key}": value for key, value in asdict(found.without).items()},
            **{"fisher": found.fisher, "gain_kl": found.gain},
            **{key: _largest(read, key) for key in _CSV[-4:]},
        }
        writer.writerow(_plain(row))
    return text.getvalue()


def worst_table(analysis: Analysis, metric: str, count: int) -> str:
    """Return the ``count`` most sensitive operators as a table for a person."""
    worst = worst_first(analysis.sensitivities, metric)[:count]
    return format_table(_WORST, [worst_row(rank + 1, found) for rank, found in enumerate(worst)])


def worst_row(rank: int, found: Sensitivity) -> list[str]:
    """Return one operator's cells of the table of the worst."""
    operator = found.operator
    return [
        str(rank),
        operator.kind,
        operator.place,
        operator.bits,
        decibels(found.alone),
        f"{found.alone.kl:.2e}",
        f"{100 * found.alone.agreement:.2f}",
        f"{found.fisher:.2e}",
        f"{found.gain:.2e}",
    ]


def fallback_table(fallback: Fallback) -> str:
    """Return the steps of a search for a small enough drop as a table for a person."""
    header = ("weights at 8 bits", "inputs at 16 bits", "top-1 %", "agreement %", "drop", "enough")
    rows = [
        [
            step.weights,
            step.inputs,
            "-" if step.top1 is None else f"{100 * step.top1:.2f}",
            f"{100 * step.agreement:.2f}",
            f"{step.drop:.2f}",
            "yes" if step.drop <= fallback.max_drop else "no",
        ]
        for step in fallback.steps
    ]
    return format_table(header, rows)


def ranks(analysis: Analysis, metric: str) -> dict[str, int]:
    """Return each operator's place among the most sensitive, from 1, by its node's name."""
    worst = analysis.worst_first(metric)
    return {operator.node: rank for rank, operator in enumerate(worst, start=1)}


def covered(wanted: Raise, operators: Sequence[Operator]) -> list[Operator]:
    """Return the operators that the rule of a raise covers."""
    return [op for op in operators if (op.kind, op.path) == (wanted.kind, wanted.path)]


def decibels(found: Fidelity) -> str:
    """Return a ratio for a person; equal logits have none."""
    return f"{found.sqnr_db:.2f}" if math.isfinite(found.sqnr_db) else "equal"


def _largest(tensors: Sequence[ChannelRanges], key: str) -> float | None:
    values = [value for value in (getattr(tensor, key) for tensor in tensors) if value is not None]
    return max(values, default=None)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _rounded(value) for key, value in values.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value
