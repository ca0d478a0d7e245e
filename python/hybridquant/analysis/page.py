"""An analysis as an HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybridquant.analysis.entry import Analysis
from hybridquant.analysis.fallback import Fallback
from hybridquant.analysis.raising import Raise
from hybridquant.analysis.ranges import ChannelRanges
from hybridquant.analysis.sensitivity import Sensitivity, worst_first
from hybridquant.analysis.tables import covered, decibels
from hybridquant.recipe import Recipe, recipe_to_yaml
from hybridquant.report import (
    Axis,
    Cell,
    Page,
    Plot,
    bar_plot,
    line_plot,
    range_strip,
    scatter_plot,
)

_SHOWN_BARS = 15
_SHOWN_LABELS = 5
_SHOWN_STRIPS = 6
_METRICS = {
    "kl": "the divergence of the class distributions with the operator alone quantized",
    "sqnr": "the noise in the logits with the operator alone quantized",
    "fisher": "its squared error, weighted by the squared gradient of the loss",
    "gain": "how much lower the model's divergence is with the operator in float",
}


@dataclass(frozen=True)
class Chosen:
    """The recipe that an analysis ends with.

    Args:
        recipe: The recipe.
        raises: What it raises.
        file: Name of the file it is written to.
        figures: Header and rows of the table that compares it.
        measured_on: What these figures were measured on.
        fallback: How it was found, where a drop had to be kept.
    """

    recipe: Recipe
    raises: Sequence[Raise]
    file: str
    figures: tuple[Sequence[str], Sequence[Sequence[str]]]
    measured_on: str
    fallback: Fallback | None = None


def analysis_page(
    analysis: Analysis, metric: str, chosen: Chosen, model: str, facts: Sequence[str]
) -> str:
    """Return the page; the same analysis gives the same bytes.

    Args:
        analysis: What to show.
        metric: What the operators are ranked by.
        chosen: The recipe that it led to.
        model: Name of the model.
        facts: Sentences on how it was made, such as the number of images and the seed.
    """
    page = Page(f"{model} under {analysis.recipe.name}")
    for fact in facts:
        page.text(fact)
    _add_chosen(page, analysis, chosen)
    _add_sensitivity(page, analysis, metric)
    _add_ranges(page, analysis.ranges)
    with page.details(f"The recipe as it is in {chosen.file}"):
        page.code(recipe_to_yaml(chosen.recipe))
    return page.render()


def _add_chosen(page: Page, analysis: Analysis, chosen: Chosen) -> None:
    page.heading("What the recipe costs, and what it can win back")
    header, rows = chosen.figures
    page.table(header, [[_cell(text) for text in row] for row in rows], chosen.measured_on)
    if chosen.fallback is not None:
        _add_fallback(page, chosen.fallback)
    if not chosen.raises:
        page.text(f"{chosen.file} raises nothing: it is {analysis.recipe.name} as it was.")
        return
    operators = [found.operator for found in analysis.sensitivities]
    page.text(
        f"{chosen.file} is {analysis.recipe.name} with rules for what follows. Rules know "
        "operators by kind and module path: where a module computes several operators of a kind, "
        "such as the two matrix products of an attention, a rule covers all of them, and the last "
        "column says how many that are."
    )
    page.table(
        ["module", "operator", "raised", "to bits", "operators covered"],
        [
            [
                wanted.path or "(the model itself)",
                wanted.kind,
                "weights" if wanted.operand == "weight" else "inputs",
                wanted.bits,
                len(covered(wanted, operators)),
            ]
            for wanted in chosen.raises
        ],
    )


def _add_fallback(page: Page, fallback: Fallback) -> None:
    what = "top-1" if fallback.metric == "top1" else "agreement with the float model"
    ending = "is kept" if fallback.is_reached else "is NOT kept, not even with everything raised"
    page.text(
        f"A drop of at most {fallback.max_drop:g} points of {what} {ending}: the recipe below "
        f"loses {fallback.step.drop:.2f}. It was chosen on the images that this was measured on, "
        "so expect it to lose somewhat more on others."
    )
    points = sorted((step.weights + step.inputs, step.drop) for step in fallback.steps)
    ends = [(points[0][0], fallback.max_drop), (points[-1][0], fallback.max_drop)]
    page.figure(
        line_plot(
            {"drop": points, "allowed": ends},
            Axis("weights and inputs raised, the most sensitive first"),
            Axis(f"points of {what} lost"),
            "drop over the number of raises",
        ),
        "Each point is a recipe that was quantized and evaluated.",
    )
    page.table(
        ["weights at 8 bits", "inputs at 16 bits", "top-1 %", "agreement %", "drop"],
        [
            [
                step.weights,
                step.inputs,
                None if step.top1 is None else round(100 * step.top1, 2),
                round(100 * step.agreement, 2),
                round(step.drop, 2),
            ]
            for step in fallback.steps
        ],
        "In the order in which they were tried.",
    )


def _add_sensitivity(page: Page, analysis: Analysis, metric: str) -> None:
    found, worst = analysis.sensitivities, worst_first(analysis.sensitivities, metric)
    page.heading("Sensitivity, operator by operator")
    page.text(
        f"The operators are ranked by {_METRICS[metric]}. Alone: this operator is quantized and "
        "all others are in float. Gain: how much lower the divergence of the fully quantized model "
        "is when this operator is in float; below 0 its error makes up for others. Fisher: the "
        "squared error of what it computes times the squared gradient of the loss with the model's "
        "own class as label."
    )
    page.figure(_in_order(found, worst), "Operators in the order in which the model runs them.")
    shown = [one for one in worst[:_SHOWN_BARS] if one.alone.kl > 0]
    if shown:
        low = min(one.alone.kl for one in shown) / 3
        bars = {"alone": [one.alone.kl for one in shown]}
        axis = Axis("divergence alone, nats", scale="log", low=low)
        plot = bar_plot([_label(one) for one in shown], bars, axis, "the most sensitive operators")
        page.figure(plot, f"The {len(shown)} most sensitive operators.")
    rank = {one.operator.node: place for place, one in enumerate(worst, start=1)}
    page.table(
        [
            *("#", "module", "operator", "bits", "rank", "SQNR alone dB", "KL alone"),
            *("agreement alone %", "Fisher", "SQNR without dB", "gain KL"),
        ],
        [
            [
                Cell(str(index), key=index, note=one.operator.node),
                one.operator.place,
                one.operator.kind,
                one.operator.bits,
                rank[one.operator.node],
                _ratio(decibels(one.alone), one.alone.sqnr_db),
                Cell(f"{one.alone.kl:.2e}", key=one.alone.kl),
                round(100 * one.alone.agreement, 2),
                Cell(f"{one.fisher:.2e}", key=one.fisher),
                _ratio(decibels(one.without), one.without.sqnr_db),
                Cell(f"{one.gain:.2e}", key=one.gain),
            ]
            for index, one in enumerate(found)
        ],
        "All operators in graph order; a click on a title sorts.",
    )


def _in_order(found: Sequence[Sensitivity], worst: Sequence[Sensitivity]) -> Plot:
    named = {one.operator.node for one in worst[:_SHOWN_LABELS]}
    series: dict[str, list[tuple[float, float, str]]] = {}
    for index, one in enumerate(found):
        # A logarithmic axis has no place for what quantization does not change.
        if one.alone.kl > 0:
            label = one.operator.place if one.operator.node in named else ""
            series.setdefault(one.operator.kind, []).append((index, one.alone.kl, label))
    return scatter_plot(
        series,
        Axis("operator in graph order"),
        Axis("divergence alone, nats", scale="log"),
        "divergence of each operator alone in graph order",
    )


def _add_ranges(page: Page, ranges: Sequence[ChannelRanges]) -> None:
    page.heading("Ranges, channel by channel")
    page.text(
        "A tensor with one scale spends its codes on its widest channels. Bits lost: how many of "
        "its bits a channel cannot use, for codes its values never reach; of the median channel "
        "and of the worst. Largest to median: the widest channel's range over the median one's. "
        "Clipped: values further than half a step outside the chosen range."
    )
    inputs = [tensor for tensor in ranges if tensor.operand == "activation"]
    worst = sorted(inputs, key=lambda tensor: -(tensor.median_bits_lost or 0.0))[:_SHOWN_STRIPS]
    with page.details(f"The {len(worst)} inputs whose median channel loses the most bits"):
        for tensor in worst:
            page.figure(_strip(tensor), _caption(tensor))
    page.table(
        [
            *("module", "operator", "read", "made by", "bits", "from", "to", "channels"),
            *("median bits lost", "bits lost", "worst channel", "largest to median", "clipped %"),
        ],
        [
            [
                tensor.path or "(the model itself)",
                tensor.kind,
                tensor.operand,
                tensor.producer,
                tensor.bits,
                _short(tensor.low),
                _short(tensor.high),
                Cell(
                    str(len(tensor.minimum)),
                    key=len(tensor.minimum),
                    note=f"{tensor.empty_channels} without a range",
                ),
                _short(tensor.median_bits_lost),
                _short(tensor.bits_lost),
                tensor.worst_channel,
                _short(tensor.largest_to_median),
                None if tensor.outside is None else _short(100 * tensor.outside),
            ]
            for tensor in ranges
        ],
        "Every quantized tensor in graph order; what several operators read is named by the first.",
    )


def _strip(tensor: ChannelRanges) -> Plot:
    return range_strip(
        tensor.minimum,
        tensor.maximum,
        Axis("value"),
        f"range of each channel read by {tensor.kind} in {tensor.path}",
    )


def _caption(tensor: ChannelRanges) -> str:
    end = f"{_text(tensor.low)} to {_text(tensor.high)}"
    return (
        f"{tensor.path or '(the model itself)'}, {tensor.kind}, made by {tensor.producer}: chosen "
        f"range {end}; the median channel loses {_text(tensor.median_bits_lost)} of "
        f"{tensor.bits} bits, channel {tensor.worst_channel} loses {_text(tensor.bits_lost)}."
    )


def _label(one: Sensitivity) -> str:
    return f"{one.operator.place} ({one.operator.kind})"


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _short(value: float | None) -> Cell:
    return Cell(_text(value), key=value)


def _ratio(text: str, value: float) -> Cell:
    # Equal logits are above every ratio.
    return Cell(text, key=min(value, 1e9))


def _cell(text: str) -> Cell:
    try:
        return Cell(text, key=float(text))
    except ValueError:
        return Cell(text)
