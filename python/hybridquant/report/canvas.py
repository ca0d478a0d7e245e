"""Axes to draw on, which become inline SVG: the same bytes for the same figures.

Text and axes take the colour of the page's text, so a plot is readable on light and on dark ones.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours without black and yellow, which dark and light pages swallow.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8c8c8c")
_MARKERS, _DASHES = ("o", "s", "^", "D", "v", "P", "X"), ("-", "--", ":", "-.")
# Stands for the page's text colour until the SVG is written.
INK = "#010203"
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so layouts are the same everywhere
    "font.size": 10.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "hybridquant",
    "figure.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@dataclass(frozen=True)
class Plot:
    """A drawn plot.

    Args:
        svg: An ``<svg>`` element for the inside of an HTML page, whose text colour it takes.
    """

    svg: str


@dataclass(frozen=True)
class Axis:
    """An axis of a plot.

    Args:
        label: What it shows, with the unit.
        scale: ``linear``, ``log``, ``log2`` or ``symlog`` (logarithmic on both sides of 0).
        low: Where it begins; by default as the values need.
        high: Where it ends; by default as the values need.
    """

    label: str
    scale: str = "linear"
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SeriesStyle:
    """How one of several series is drawn, to be told from the others without colours too."""

    colour: str
    marker: str
    dash: str


def series_style(index: int) -> SeriesStyle:
    """Return the style of the series that is drawn at this position."""
    turn, colour = divmod(index, len(COLOURS))
    marker = _MARKERS[(colour + turn) % len(_MARKERS)]
    return SeriesStyle(COLOURS[colour], marker, _DASHES[turn % len(_DASHES)])


def plot(draw: Callable[[Axes], None], x: Axis, y: Axis, title: str, *, height: float) -> Plot:
    """Draw on fresh axes and return them as SVG; ``height`` is in inches, of 7.2 wide."""
    # Imported here: matplotlib takes half a second, and `import hybridquant` should not.
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=(7.2, height), dpi=72, layout="constrained")
        axes = figure.add_subplot()
        _scale(axes.set_xscale, x)
        _scale(axes.set_yscale, y)
        axes.set_xlabel(shown_text(x.label))
        axes.set_ylabel(shown_text(y.label))
        draw(axes)
        set_limits(axes, x, y)
        file = io.BytesIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing)
    return Plot(_inline(file.getvalue().decode(), title))


def _scale(set_scale: Callable[..., None], axis: Axis) -> None:
    options: dict[str, dict[str, float]] = {"log2": {"base": 2}, "symlog": {"linthresh": 1.0}}
    set_scale(axis.scale.removesuffix("2"), **options.get(axis.scale, {}))


def set_limits(axes: Axes, x: Axis, y: Axis) -> None:
    """Set where axes begin and end, which matplotlib then no longer chooses by what is drawn."""
    axes.set_xlim(x.low, x.high)
    axes.set_ylim(y.low, y.high)


def _inline(svg: str, title: str) -> str:
    """Return what matplotlib wrote as an element for a page that may hold others like it."""
    svg = svg[svg.index("<svg") :].strip()
    # A page holds many plots, whose names of parts must differ.
    prefix = f"p{hashlib.sha256((title + svg).encode()).hexdigest()[:8]}-"

    def adapt(tag: re.Match[str]) -> str:
        renamed = re.sub(r'(\bid="|url\(#|href="#)', rf"\1{prefix}", tag[0])
        return renamed.replace(INK, "currentColor")

    head, _, body = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL).partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None
    name = f'role="img" aria-label="{html.escape(title)}"'
    body = re.sub(r"<[^>]*>", adapt, body)
    return f'<svg {box[0]} {name} xmlns="{_SVG}" xmlns:xlink="{_XLINK}">{body}'


def shown_text(text: str) -> str:
    """Return ``text`` as matplotlib must be given it to be shown as it is."""
    return text.replace("$", r"\$")
