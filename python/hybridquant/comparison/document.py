"""A comparison as one HTML page with plots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hybridquant.comparison.cell import FLOAT
from hybridquant.comparison.row import Row
from hybridquant.comparison.table import Column, columns, recipes_of
from hybridquant.report import Axis, Cell, Page, bar_plot, heat_map, line_plot, scatter_plot

_MIB = 1 << 20
Value = Callable[[Row], float | None]


def to_html(rows: Sequence[Row], notes: Sequence[str], job: Mapping[str, Any]) -> str:
    """Return the table, its plots and what it was made of as one page."""
    page = Page("Recipes side by side")
    for note in notes:
        page.text(note.replace("`", ""))
    page.heading("Table")
    shown = columns(rows)
    cells = [[_cell(column, row) for column in shown] for row in rows]
    page.table([column.title for column in shown], cells, "A click on a title sorts by it.")
    _add_plots(page, rows)
    page.heading("What it was made of")
    with page.details("Data and versions"):
        for name, value in job.items():
            if isinstance(value, str | int):
                page.text(f"{name}: {value}")
        page.text(", ".join(f"{name} {version}" for name, version in job["versions"].items()))
    for name, text in job["recipes"].items():
        with page.details(f"Recipe {name}"):
            page.code(text)
    return page.render()


def _cell(column: Column, row: Row) -> Cell:
    is_first = column.title == "top-1 %" and row.standing == "best"
    note = ""
    if column.title == "top-1 %" and row.top1_low is not None and row.top1_high is not None:
        note = f"95 % interval {100 * row.top1_low:.1f} to {100 * row.top1_high:.1f}"
    if column.title == "what is integer":
        note = row.integer_problem
    key = None if column.key is None else column.key(row)
    is_long = column.title == "failed"
    return Cell(column.text(row), key=key, note=note, is_strong=is_first, is_long=is_long)


def _add_plots(page: Page, rows: Sequence[Row]) -> None:
    is_labelled = any(row.top1 is not None for row in rows)
    title = "top-1" if is_labelled else "agreement with float32"
    value: Value = _percent("top1" if is_labelled else "agreement")
    if not any(value(row) is not None for row in rows if row.recipe != FLOAT):
        return
    models = list(dict.fromkeys(row.model for row in rows))
    if len(models) > 1 and len(recipes_of(rows)) > 1:
        page.heading("Overview")
        _add_overview(page, rows, models, value, title)
    for base in dict.fromkeys(row.base for row in rows):
        own = [row for row in rows if row.base == base]
        page.heading(base)
        _add_bars(page, own, value, title)
        _add_lines(page, own, value, title)
        _add_sizes(page, [row for row in own if row.ratio == 1], value, title)


def _percent(field: str) -> Value:
    def value(row: Row) -> float | None:
        share: float | None = getattr(row, field)
        return None if share is None else 100 * share

    return value


def _add_overview(
    page: Page, rows: Sequence[Row], models: Sequence[str], value: Value, title: str
) -> None:
    recipes = recipes_of(rows)
    found = {(row.recipe, row.model): value(row) for row in rows}
    cells: list[list[float | None]] = []
    for recipe in recipes:
        cells.append([_less(found[recipe, model], found[FLOAT, model]) for model in models])
    label = f"{title} less float32's, points" if title == "top-1" else f"{title}, %"
    page.figure(
        heat_map(cells, recipes, models, label, f"{title} of every recipe on every model"),
        f"Each recipe on each model: {label}. An empty cell has no figure.",
    )


def _less(value: float | None, original: float | None) -> float | None:
    return None if value is None else value - (original or 0.0)


def _add_bars(page: Page, rows: Sequence[Row], value: Value, title: str) -> None:
    groups = [FLOAT, *recipes_of(rows)] if title == "top-1" else recipes_of(rows)
    series = {
        f"x{ratio:g}": [
            next(value(row) for row in rows if (row.ratio, row.recipe) == (ratio, name))
            for name in groups
        ]
        for ratio in dict.fromkeys(row.ratio for row in rows)
    }
    plot = bar_plot(groups, series, Axis(f"{title}, %", low=0, high=109), f"{title} by recipe")
    each = ", a bar for each ratio of outliers" if len(series) > 1 else ""
    page.figure(plot, f"{title} of each recipe{each}.")


def _add_lines(page: Page, rows: Sequence[Row], value: Value, title: str) -> None:
    ratios = sorted({row.ratio for row in rows})
    if len(ratios) < 2:
        return
    names = [FLOAT, *recipes_of(rows)] if title == "top-1" else recipes_of(rows)
    series = {
        name: sorted((row.ratio, value(row)) for row in rows if row.recipe == name)
        for name in names
    }
    x, y = Axis("ratio of the outlier channels", "log2"), Axis(f"{title}, %", low=0, high=102)
    plot = line_plot(series, x, y, f"{title} against the ratio of outliers")
    page.figure(plot, f"{title} as one channel in 16 is multiplied by the ratio and divided again.")


def _add_sizes(page: Page, rows: Sequence[Row], value: Value, title: str) -> None:
    points: dict[str, list[tuple[float, float, str]]] = {"packed": [], "integer file": []}
    integer = _percent("integer_top1" if title == "top-1" else "integer_agreement")
    for row in rows:
        _add_point(points["packed"], row.bytes, value(row), row.recipe)
        _add_point(points["integer file"], row.integer_bytes, integer(row), row.recipe)
    drawn = {name: found for name, found in points.items() if found}
    if drawn:
        x, y = Axis("size, MiB", low=0), Axis(f"{title}, %")
        plot = scatter_plot(drawn, x, y, f"{title} against size")
        page.figure(plot, f"{title} and size: weights at their bit widths, and integer files.")


def _add_point(
    points: list[tuple[float, float, str]], size: int | None, value: float | None, label: str
) -> None:
    if size is not None and value is not None:
        points.append((size / _MIB, value, label))
