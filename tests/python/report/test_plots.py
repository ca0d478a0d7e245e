"""Plots."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable

import matplotlib as mpl
import pytest

from hybridquant.report import (
    Axis,
    Plot,
    bar_plot,
    heat_map,
    line_plot,
    range_strip,
    scatter_plot,
)

X, Y = Axis("size, MiB"), Axis("top-1, %", low=0, high=100)
NAMES = [f"recipe {index}" for index in range(9)]  # more than there are colours

PLOTS: dict[str, Callable[[], Plot]] = {
    "line": lambda: line_plot(
        {name: [(1, 80.0), (4, None), (16, 10.0 * i)] for i, name in enumerate(NAMES)}, X, Y, "t"
    ),
    "bar": lambda: bar_plot(NAMES, {"a": [1.0] * 9, "b": [*[2.0] * 8, None]}, Y, "t"),
    "scatter": lambda: scatter_plot({name: [(1.0, 80.0, name)] for name in NAMES}, X, Y, "t"),
    "heat map": lambda: heat_map([[1.0, None]] * 9, NAMES, ["a", "b"], "top-1, %", "t"),
    "strip": lambda: range_strip([-1, 0], [2, 300], Y, "t", inner=([0, 0], [1, 30]), channel="c"),
}
EMPTY: dict[str, Callable[[], Plot]] = {
    "line": lambda: line_plot({}, X, Y, "t"),
    "bar": lambda: bar_plot([], {}, Y, "t"),
    "scatter": lambda: scatter_plot({}, X, Y, "t"),
    "heat map": lambda: heat_map([[None]], ["a"], ["b"], "l", "t"),
    "strip": lambda: range_strip([], [], Y, "t"),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_named_svg_with_labelled_axes(name: str) -> None:
    svg = PLOTS[name]().svg
    root = ET.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "t"
    assert "top-1, %" in "".join(root.itertext())


@pytest.mark.parametrize("name", PLOTS)
def test_a_users_settings_change_nothing(name: str) -> None:
    before = PLOTS[name]()
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": False}):
        assert PLOTS[name]() == before


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_to_show_is_no_error(name: str) -> None:
    ET.fromstring(EMPTY[name]().svg)


def test_another_process_draws_the_same_bytes() -> None:
    code = (
        "from hybridquant.report import Axis, line_plot\n"
        "print(line_plot({'a': [(1, 2.0), (2, 3.0)]}, Axis('x', 'log2'), Axis('y'), 't').svg)"
    )
    here = line_plot({"a": [(1, 2.0), (2, 3.0)]}, Axis("x", "log2"), Axis("y"), "t").svg
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout == here + "\n"


def test_text_is_shown_as_it_is() -> None:
    svg = bar_plot(["$x_1$ & <b>"], {'id="s"': [1.0], "t": [2.0]}, Y, 'a "title"').svg
    root = ET.fromstring(svg)
    texts = [text.strip() for text in root.itertext()]
    assert "$x_1$ & <b>" in texts
    assert 'id="s"' in texts
    assert root.attrib["aria-label"] == 'a "title"'


def test_missing_values_are_said() -> None:
    assert "no value" in bar_plot(["a"], {"b": [None]}, Y, "t").svg


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda: bar_plot(["a"], {"b": [1.0, 2.0]}, Y, "t"), "bar_plot: series 'b' must have 1"),
        (lambda: heat_map([[1.0]], ["a"], ["b", "c"], "l", "t"), "heat_map: values must have 2"),
        (lambda: range_strip([1.0], [], Y, "t"), "range_strip: high must have 1 values"),
    ],
)
def test_lists_must_be_as_long_as_each_other(draw: Callable[[], Plot], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        draw()
