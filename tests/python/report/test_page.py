"""Pages."""

from html.parser import HTMLParser

import pytest

from hybridquant.report import Axis, Cell, Page, line_plot

VOID = {"meta", "br", "link", "img", "input"}


class Outline(HTMLParser):
    """Checks that elements nest, and keeps what tests ask about."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_with_everything() -> str:
    page = Page("A <b>title</b>")
    page.heading("Part & parcel")
    page.text("1 < 2")
    page.code("bits: <8>")
    rows = [[Cell('"x"', note='a "note"'), 1.5], ["<i>", None]]
    page.table(["name", "value <unit>"], rows, "caption <c>")
    for title in ("one", "two"):
        points = {"series <s>": [(1.0, 2.0), (2.0, 3.0)]}
        page.figure(line_plot(points, Axis("x"), Axis("y"), title), "figure <f>")
    with page.details("more <m>"):
        page.text("inside")
    page.text("after")
    return page.render()


def test_elements_nest_and_text_is_escaped() -> None:
    text = page_with_everything()
    Outline(text)
    for raw in ("<b>", "<i>", "<8>", "<unit>", "<c>", "<s>", "<f>", "<m>", 'a "note"'):
        assert raw not in text
    assert text.index("inside") < text.index("</details>") < text.index("<p>after")


def test_no_two_elements_have_one_name_and_nothing_is_fetched() -> None:
    outline = Outline(page_with_everything())
    ids = [values["id"] for _, values in outline.tags if "id" in values]
    assert ids
    assert len(set(ids)) == len(ids)
    links = [value for _, values in outline.tags for key, value in values.items() if "href" in key]
    assert all(str(link).removeprefix("#") in ids for link in links)
    assert not any("src" in values for _, values in outline.tags)


def test_the_same_parts_give_the_same_bytes() -> None:
    assert page_with_everything() == page_with_everything()


def test_a_column_of_numbers_is_sorted_by_number() -> None:
    page = Page("t")
    page.table(["a", "b", "c"], [["x", 10.0, None], ["y", Cell("9.0*", key=9.0), None]])
    outline = Outline(page.render())
    classes = [values.get("class") for tag, values in outline.tags if tag == "th"]
    assert classes == [None, "number", None]
    assert [values["data-key"] for _, values in outline.tags if "data-key" in values] == [
        "10.0",
        "9.0",
    ]


def test_rows_must_fit_the_header() -> None:
    with pytest.raises(ValueError, match=r"Page.table: row must have 2 cells, got 1"):
        Page("t").table(["a", "b"], [["x"]])
