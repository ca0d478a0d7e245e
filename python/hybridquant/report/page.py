"""One self-contained HTML page: text, sortable tables, plots and parts that fold away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from hybridquant.report.canvas import Plot

_TEMPLATE = "page.html.j2"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        text: What it shows.
        key: What its column is sorted by; by default the number or text that it shows.
        note: Shown when the pointer rests on it.
        is_strong: Whether it is set off from its neighbours.
        is_long: Whether its text may be broken into lines.
    """

    text: str
    key: float | None = None
    note: str = ""
    is_strong: bool = False
    is_long: bool = False

    def look(self, is_numeric: bool) -> str:
        """Return its classes in the page's style sheet."""
        looks = {"number": is_numeric, "strong": self.is_strong, "wrap": self.is_long}
        return " ".join(name for name, holds in looks.items() if holds)


@dataclass
class _Part:
    kind: str
    text: str
    svg: Any = None
    header: Sequence[str] = ()
    numeric: Sequence[bool] = ()
    rows: Sequence[Sequence[Cell]] = ()
    parts: list[_Part] = field(default_factory=list)


class Page:
    """Collects the parts of a page and renders them.

    The page is one file without links to others: it opens offline, by mail and in ten years, is
    light or dark as the reader's system is, and fits a telephone. The same parts give the same
    bytes. All text is escaped.

    Args:
        title: The page's title.

    Example:
        >>> page = Page("Results of <today>")
        >>> page.text("All good.")
        >>> page.table(["model", "top-1 %"], [["a", 82.5], ["b", None]])
        >>> with page.details("More"):
        ...     page.text("Hidden until it is asked for.")
        >>> html = page.render()
        >>> "<h1>Results of &lt;today&gt;</h1>" in html, "http" in html
        (True, False)
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[_Part] = []
        self._open = self._parts  # where the next part goes

    def heading(self, text: str) -> None:
        """Add a heading of a section."""
        self._open.append(_Part("heading", text))

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self._open.append(_Part("text", text))

    def code(self, text: str) -> None:
        """Add text whose lines and spaces stay as they are, such as a command or YAML."""
        self._open.append(_Part("code", text))

    def figure(self, plot: Plot, caption: str) -> None:
        """Add a plot with what to see in it."""
        from markupsafe import Markup

        # matplotlib escaped the text in it.
        self._open.append(_Part("figure", caption, svg=Markup(plot.svg)))

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[Cell | str | float | None]],
        caption: str = "",
    ) -> None:
        """Add a table that a click on a column's title sorts.

        Args:
            header: Column titles.
            rows: Cells; None is an empty cell, which is sorted last. A column all of whose cells
                are numbers, or have a key, goes to the right and is sorted by number.
            caption: Above the table.

        Raises:
            ValueError: If a row has another length than the header.
        """
        for row in rows:
            if len(row) != len(header):
                msg = f"Page.table: row must have {len(header)} cells, got {len(row)}"
                raise ValueError(msg)
        cells = [[_cell(value) for value in row] for row in rows]
        numeric = [
            any(row[i].key is not None for row in cells)
            and all(row[i].key is not None or not row[i].text for row in cells)
            for i in range(len(header))
        ]
        self._open.append(_Part("table", caption, header=list(header), numeric=numeric, rows=cells))

    @contextmanager
    def details(self, summary: str) -> Iterator[None]:
        """Put what the ``with`` block adds into a part that is folded away until a click."""
        part, outer = _Part("details", summary), self._open
        outer.append(part)
        self._open = part.parts
        try:
            yield
        finally:
            self._open = outer

    def render(self) -> str:
        """Return the page as HTML."""
        # Imported here, as matplotlib is: only pages need it.
        from jinja2 import Environment, StrictUndefined

        environment = Environment(
            autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
        )
        source = resources.files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8")
        return environment.from_string(source).render(title=self._title, parts=self._parts)


def _cell(value: Cell | str | float | None) -> Cell:
    if isinstance(value, Cell):
        return value
    if value is None:
        return Cell("")
    if isinstance(value, str):
        return Cell(value)
    return Cell(f"{value:g}" if isinstance(value, float) else str(value), key=value)
