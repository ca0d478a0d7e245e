"""What ``hybridquant quantize`` prints at its end: metrics.json for a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hybridquant.report import Coverage, format_table

_HEADER = ("model", "what is integer", "top-1 %", "agreement %", "SQNR dB", "bytes", "seconds")
_SHOWN_OPERATORS = 5


def summary(metrics: dict[str, Any], files: Sequence[Path]) -> str:
    """Return the table of figures, what it was measured on, and the paths of what was written."""
    return "\n".join(
        [
            "",
            format_table(_HEADER, _rows(metrics)),
            "",
            f"Measured on {_images(metrics)}; calibrated on {metrics['images']} images, seed "
            f"{metrics['seed']}, {metrics['threads']} threads.",
            f"Operators {_coverage(metrics)}.",
            "Bytes of the simulation are weights at their bit widths; it computes in float.",
            *_integer_lines(metrics),
            "Written:",
            *(f"  {file}" for file in files),
        ]
    )


def _rows(metrics: dict[str, Any]) -> list[list[object]]:
    cover = _coverage(metrics)
    quantized = sum(cover.quantized.values())
    simulated = f"{quantized} of {quantized + sum(cover.float.values())} operators, simulated"
    seconds = f"{metrics['seconds']:.1f}"
    rows: list[list[object]] = [
        ["float32", "nothing", _percent(metrics["fp32_top1"]), "", "", metrics["float_bytes"], ""],
        [
            *(metrics["recipe"], simulated, *_figures(metrics, "")),
            *(metrics["model_bytes"], seconds),
        ],
    ]
    if metrics["integer_nodes"] is not None:
        what = f"all {metrics['integer_nodes']} nodes"
        figures = _figures(metrics, "integer_")
        rows.append(["integer model", what, *figures, metrics["integer_bytes"], ""])
    return rows


def _figures(metrics: dict[str, Any], prefix: str) -> list[str]:
    sqnr_db = metrics[f"{prefix}sqnr_db"]
    return [
        _percent(metrics[f"{prefix}top1"]),
        _percent(metrics[f"{prefix}agreement"]),
        "equal" if sqnr_db is None else f"{sqnr_db:.1f}",
    ]


def _integer_lines(metrics: dict[str, Any]) -> list[str]:
    if metrics["integer_nodes"] is not None:
        same = _percent(metrics["integer_fakequant_agreement"])
        return [
            f"The integer model gives the class of the simulation for {same} % of the images; "
            f"{metrics['copies']} of its nodes copy codes; it needs "
            f"{metrics['integer_memory_bytes']} bytes of memory."
        ]
    operators = metrics["float_operators"]
    if operators is None:
        return ["No integer model (--integer never)."]
    count = "1 operator is" if len(operators) == 1 else f"{len(operators)} operators are"
    lines = [f"No integer model, for {count} float:"]
    lines += [f"  {operator}" for operator in operators[:_SHOWN_OPERATORS]]
    more = len(operators) - _SHOWN_OPERATORS
    return lines + [f"  and {more} more; metrics.json lists all"] * (more > 0)


def _coverage(metrics: dict[str, Any]) -> Coverage:
    return Coverage(metrics["coverage"]["quantized"], metrics["coverage"]["float"])


def _images(metrics: dict[str, Any]) -> str:
    if metrics["eval_images"]:
        return f"{metrics['eval_images']} evaluation images"
    return f"the {metrics['images']} calibration images (no --eval)"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
