"""The kinds of plots of the reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hybridquant.report.canvas import (
    COLOURS,
    INK,
    Axis,
    Plot,
    plot,
    series_style,
    set_limits,
    shown_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MISSING = "no value"
_LEGEND_LETTERS = 95  # on a line, of which a legend's mark takes about six
# Where a label may stand: to the right of its point or not, and by how many pixels higher.
_AROUND = tuple((right, up) for up in (0, 8, -8, 16, -16) for right in (True, False))


def line_plot(
    series: Mapping[str, Sequence[tuple[float, float | None]]], x: Axis, y: Axis, title: str
) -> Plot:
    """Return a line with markers a series.

    Args:
        series: Name to points; a point without a value breaks the line.
        x: The horizontal axis.
        y: The vertical axis.
        title: Read to whoever cannot see the plot.
    """

    def draw(axes: Axes) -> None:
        for index, (name, points) in enumerate(series.items()):
            style = series_style(index)
            axes.plot(
                [point[0] for point in points],
                [_number(point[1]) for point in points],
                label=shown_text(name),
                color=style.colour,
                marker=style.marker,
                linestyle=style.dash,
            )
        ticks = sorted({point[0] for points in series.values() for point in points})
        if x.scale == "log2" and ticks:
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        _legend(axes, len(series))

    return plot(draw, x, y, title, height=3.6 + 0.16 * len(series))


def bar_plot(
    groups: Sequence[str], series: Mapping[str, Sequence[float | None]], value: Axis, title: str
) -> Plot:
    """Return horizontal bars, one a group and series.

    Args:
        groups: Names, from top to bottom.
        series: Name to one value a group; None where there is none, which the plot then says.
        value: The axis of the values.
        title: Read to whoever cannot see the plot.

    Raises:
        ValueError: If a series has not one value a group.
    """
    for name, values in series.items():
        _check_length("bar_plot", f"series {name!r}", values, len(groups), "groups")
    thickness = 0.8 / max(len(series), 1)

    def draw(axes: Axes) -> None:
        for index, (name, values) in enumerate(series.items()):
            heights = [row + (index + 0.5) * thickness - 0.4 for row in range(len(groups))]
            axes.barh(
                heights,
                [0.0 if number is None else number for number in values],
                thickness * 0.9,
                color=series_style(index).colour,
                hatch=None if index < len(COLOURS) else "////",
                label=shown_text(name),
            )
            for height, number in zip(heights, values, strict=True):
                shown = _MISSING if number is None else f"{number:.4g}"
                at = (max(number or 0.0, value.low or 0.0), height)
                axes.annotate(
                    shown, at, (3, 0), textcoords="offset points", va="center", fontsize=7
                )
        axes.set_yticks(range(len(groups)), [shown_text(name) for name in groups])
        axes.set_ylim(max(len(groups), 1) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        if len(series) > 1:
            _legend(axes, len(series))

    rows = len(groups) * max(len(series), 1)
    return plot(draw, value, Axis(""), title, height=1.2 + 0.2 * rows + 0.16 * len(series))


def scatter_plot(
    series: Mapping[str, Sequence[tuple[float, float, str]]], x: Axis, y: Axis, title: str
) -> Plot:
    """Return labelled points.

    Args:
        series: Name to points, each with its label; an empty label is not shown.
        x: The horizontal axis.
        y: The vertical axis.
        title: Read to whoever cannot see the plot.
    """

    def draw(axes: Axes) -> None:
        for index, (name, points) in enumerate(series.items()):
            style = series_style(index)
            axes.scatter(
                [point[0] for point in points],
                [point[1] for point in points],
                label=shown_text(name),
                color=style.colour,
                marker=style.marker,
            )
        if len(series) > 1:
            _legend(axes, len(series))
        axes.margins(0.15)
        set_limits(axes, x, y)
        _label_points(axes, [point for points in series.values() for point in points])

    return plot(draw, x, y, title, height=4.4 + 0.16 * len(series))


def heat_map(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    label: str,
    title: str,
) -> Plot:
    """Return a cell a value, light to dark, with the value written in it.

    Args:
        values: One list a row; None where there is no value, which is left empty.
        rows: Names of the rows, from top to bottom.
        columns: Names of the columns.
        label: What the values are, with the unit.
        title: Read to whoever cannot see the plot.

    Raises:
        ValueError: If ``values`` is not [rows, columns].
    """
    _check_length("heat_map", "values", values, len(rows), "rows")
    for row in values:
        _check_length("heat_map", "values", row, len(columns), "columns")
    turned = 0 if max(map(len, columns), default=0) * len(columns) < 60 else 45
    is_written = len(columns) <= 20

    def draw(axes: Axes) -> None:
        cells = [[_number(number) for number in row] for row in values]
        mesh = axes.pcolormesh(cells, cmap="viridis", edgecolors="none")
        axes.set_title(shown_text(label), loc="left", fontsize=10)
        bar = axes.figure.colorbar(mesh, ax=axes, shrink=0.8)
        bar.outline.set_visible(False)
        for i, row in enumerate(values):
            for j, number in enumerate(row):
                if number is not None and is_written:
                    red, green, blue, _ = mesh.to_rgba(np.asarray(number))
                    is_light = 0.3 * red + 0.6 * green + 0.1 * blue > 0.45
                    ink = "#000000" if is_light else "#ffffff"
                    where = (j + 0.5, i + 0.5)
                    axes.text(*where, f"{number:.3g}", ha="center", va="center", color=ink, size=7)
        ticks = [index + 0.5 for index in range(len(columns))]
        names = [shown_text(name) for name in columns]
        axes.set_xticks(ticks, names, rotation=turned, ha="right" if turned else "center")
        axes.set_yticks(
            [index + 0.5 for index in range(len(rows))], [shown_text(name) for name in rows]
        )
        axes.invert_yaxis()
        axes.grid(visible=False)

    return plot(draw, Axis(""), Axis(""), title, height=(2.6 if turned else 1.6) + 0.26 * len(rows))


def range_strip(
    low: Sequence[float],
    high: Sequence[float],
    value: Axis,
    title: str,
    *,
    inner: tuple[Sequence[float], Sequence[float]] | None = None,
    channel: str = "channel",
) -> Plot:
    """Return the range of each channel as a strip from its lowest to its highest value.

    Args:
        low: Lowest value of each channel.
        high: Highest value of each channel.
        value: The axis of the values; ``symlog`` shows wide and narrow channels together.
        title: Read to whoever cannot see the plot.
        inner: Ends of a narrower range of each channel, drawn darker, such as two percentiles.
        channel: Label of the horizontal axis.

    Raises:
        ValueError: If the lists are not of one length.
    """
    for name, ends in (("high", high), *(("inner", ends) for ends in inner or ())):
        _check_length("range_strip", name, ends, len(low), "channels")

    def draw(axes: Axes) -> None:
        for ends, alpha in ((low, high), 0.4), (inner, 1.0):
            if ends and len(low):
                # A staircase, in which the last channel is as wide as the others.
                bottom, top = ([*end, end[-1]] for end in ends)
                edges = range(len(low) + 1)
                strip = axes.fill_between(edges, bottom, top, step="post", linewidth=0)
                strip.set(color=COLOURS[0], alpha=alpha)
        axes.axhline(0, color=INK, linewidth=0.6)

    return plot(draw, Axis(channel, low=0, high=max(len(low), 1)), value, title, height=2.6)


def _legend(axes: Axes, entries: int) -> None:
    handles, names = axes.get_legend_handles_labels()
    columns = max(1, min(entries, 5, _LEGEND_LETTERS // (6 + max(map(len, names), default=0))))
    # matplotlib fills columns; people read rows.
    order = [i for column in range(columns) for i in range(column, entries, columns)]
    axes.legend(
        [handles[i] for i in order],
        [names[i] for i in order],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        fontsize=8,
    )


def _label_points(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write each label beside its point, inside the axes and beside other labels if it can be."""
    from matplotlib.figure import Figure

    assert isinstance(axes.figure, Figure)
    axes.figure.draw_without_rendering()  # only then is it known where the axes will be
    inside = axes.bbox.extents
    places = [axes.transData.transform(point[:2]) for point in points]
    taken = [(x - 3.0, y - 3.0, x + 3.0, y + 3.0) for x, y in places]
    for (x, y), (across, along, label) in zip(places, points, strict=True):
        if not label:
            continue
        width, height = 4.3 * len(label), 8.0
        boxes = []
        for right, up in _AROUND:
            left, bottom = x + (6 if right else -6 - width), y + up - height / 2
            boxes.append((left, bottom, left + width, bottom + height))
        hits = [
            2 * (not _holds(inside, box)) + sum(_overlap(box, other) for other in taken)
            for box in boxes
        ]
        best = hits.index(min(hits))
        taken.append(boxes[best])
        right, up = _AROUND[best]
        axes.annotate(
            shown_text(label),
            (across, along),
            (6 if right else -6, up),
            textcoords="offset pixels",
            ha="left" if right else "right",
            va="center",
            fontsize=7,
        )


def _holds(outer: Sequence[float], a: Sequence[float]) -> bool:
    return outer[0] <= a[0] and outer[1] <= a[1] and a[2] <= outer[2] and a[3] <= outer[3]


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _check_length(
    function: str, argument: str, values: Sequence[object], wanted: int, what: str
) -> None:
    if len(values) != wanted:
        msg = f"{function}: {argument} must have {wanted} values, one for each of the {what}, "
        msg += f"got {len(values)}"
        raise ValueError(msg)
