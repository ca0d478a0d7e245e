"""The rows of a comparison: what cells found, beside the float32 model and the best recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybridquant.comparison.cell import Cell
from hybridquant.comparison.schedule import Result
from hybridquant.comparison.store import Figures
from hybridquant.report import mcnemar, wilson_interval

# Two models are told apart where chance alone makes as large a difference once in 20 times.
LEVEL = 0.05
_MIB = 1 << 20


@dataclass(frozen=True)
class Row:
    """A model under a recipe, or as it is in float32.

    Figures are None where there are none: without labels, for the float32 row, where no integer
    model was made, where the cell failed before. Shares are 0 to 1.

    Args:
        model: The model, with ``+xRATIO`` where it has outliers.
        base: The model without outliers.
        ratio: Of its outliers; 1 where it has none.
        recipe: The recipe; ``float32`` for the model as it is.
        top1: Share of images whose class is found.
        top1_low: Lower end of the 95 % interval of ``top1`` (Wilson's).
        top1_high: Upper end of it.
        standing: ``best`` of the model's recipes by top-1, ``level`` with it by ``p_best``, or
            empty.
        agreement: Share of images that get the float32 model's class.
        kl: Mean divergence of the classes' probabilities from the float32 model's, in nats.
        sqnr_db: Signal to noise ratio of the logits; None also where they are equal.
        p_float: McNemar's p-value against the float32 model.
        p_best: McNemar's p-value against the best recipe of the model.
        integer: What is integer: ``all``, or how many operators read quantized values only.
        integer_problem: Why the first of the others cannot be integer.
        integer_top1: ``top1`` of the integer model.
        integer_agreement: ``agreement`` of the integer model.
        bytes: Of the weights at their bit widths, and all else in float32.
        integer_bytes: Of the integer model's file.
        seconds: Of the quantization, evaluation aside.
        calibration_peak_mib: Most resident memory of the cell's process until then, in MiB.
        peak_mib: The same until its end.
        failure: Why the cell failed; empty where it did not.
        key: Of the cell's file.
    """

    model: str
    base: str
    ratio: float
    recipe: str
    top1: float | None
    top1_low: float | None
    top1_high: float | None
    standing: str
    agreement: float | None
    kl: float | None
    sqnr_db: float | None
    p_float: float | None
    p_best: float | None
    integer: str
    integer_problem: str
    integer_top1: float | None
    integer_agreement: float | None
    bytes: int | None
    integer_bytes: int | None
    seconds: float | None
    calibration_peak_mib: float | None
    peak_mib: float | None
    failure: str
    key: str


# What differs from run to run of the same cells.
UNSTEADY = ("seconds", "calibration_peak_mib", "peak_mib")


def make_rows(cells: Sequence[Cell], results: Mapping[str, Result]) -> list[Row]:
    """Return a row a cell, in the cells' order."""
    models: dict[str, list[Cell]] = {}
    for cell in cells:
        models.setdefault(cell.subject.label, []).append(cell)
    return [row for group in models.values() for row in _rows(group, results)]


def _rows(cells: Sequence[Cell], results: Mapping[str, Result]) -> Iterator[Row]:
    """Yield the rows of one model."""
    found = [results[cell.key] for cell in cells]
    labels = found[0].figures.get("labels")
    rights = [_right(result.figures, labels) for result in found]
    tops = [-1.0 if right is None else sum(right) / len(right) for right in rights[1:]]
    best = None if max(tops, default=-1.0) < 0 else rights[1 + tops.index(max(tops))]
    for i, (cell, result) in enumerate(zip(cells, found, strict=True)):
        is_float = i == 0
        p_best = None if is_float else _p_value(best, rights[i])
        standing = "best" if rights[i] is best else "level" if (p_best or 0.0) >= LEVEL else ""
        yield Row(
            model=cell.subject.label,
            base=cell.subject.base,
            ratio=cell.subject.ratio,
            recipe=cell.recipe_name,
            standing="" if is_float or best is None else standing,
            p_float=None if is_float else _p_value(rights[0], rights[i]),
            p_best=p_best,
            failure=result.failure or "",
            key=cell.key,
            **_measured(result.figures, rights[i], is_float),
        )


def _measured(figures: Figures, right: list[bool] | None, is_float: bool) -> dict[str, Any]:
    """Return the fields of a row that its cell alone decides."""
    low, high = (None, None) if right is None else wilson_interval(sum(right), len(right))
    same = ("top1", "agreement", "kl", "sqnr_db", "integer_top1", "integer_agreement")
    return {
        **{name: figures.get(name) for name in (*same, "bytes", "integer_bytes", "seconds")},
        "top1_low": low,
        "top1_high": high,
        "integer": "nothing" if is_float else _integer(figures),
        "integer_problem": _problem(figures),
        "calibration_peak_mib": _mib(figures.get("calibration_peak_bytes")),
        "peak_mib": _mib(figures.get("peak_bytes")),
    }


def _integer(figures: Figures) -> str:
    if figures.get("integer_bytes") is not None:
        return "all"
    if "quantized_operators" not in figures:
        return ""
    quantized = figures["quantized_operators"]
    return f"{quantized} of {quantized + figures['float_operators']} operators"


def _problem(figures: Figures) -> str:
    problem: str | None = figures.get("first_problem")
    if problem is None:
        return ""
    # After the semicolon stands what to do.
    more = figures["integer_problems"] - 1
    return problem.partition(";")[0] + (f", and {more} more" if more else "")


def _right(figures: Figures, labels: Sequence[int] | None) -> list[bool] | None:
    """Return on which images a model is right; None where nobody knows."""
    if labels is None or "predictions" not in figures:
        return None
    pairs = zip(figures["predictions"], labels, strict=True)
    return [prediction == label for prediction, label in pairs]


def _p_value(first: Sequence[bool] | None, second: Sequence[bool] | None) -> float | None:
    if first is None or second is None:
        return None
    pairs = list(zip(first, second, strict=True))
    return mcnemar(pairs.count((True, False)), pairs.count((False, True)))


def _mib(number: int | None) -> float | None:
    return None if number is None else round(number / _MIB, 1)
