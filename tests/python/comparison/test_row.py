"""Rows and tables of results that are made up."""

from typing import Any

import pytest

from hybridquant.comparison import Row, Subject
from hybridquant.comparison.cell import Cell
from hybridquant.comparison.document import to_html
from hybridquant.comparison.progress import duration
from hybridquant.comparison.row import make_rows
from hybridquant.comparison.schedule import Result
from hybridquant.comparison.table import notes, to_csv, to_markdown
from hybridquant.recipe import load_recipe

LABELS = [0] * 100
NAMES = ("baseline/w8a8-mse", "baseline/w8a8-minmax", "baseline/w4a8-mse", "integer/w8a8")
JOB = {
    **{"calib": "c.tar", "eval": "e.tar", "calib_images": 8, "eval_images": 100, "seed": 0},
    **{"is_labelled": True, "batch_size": 32, "threads": "1", "warnings": ["Mind <this>."]},
    "versions": {"hybridquant": "1", "torch": "2", "timm": "3", "torchvision": "4", "python": "5"},
    "recipes": dict.fromkeys(NAMES, "rules: <none>"),
}


def right_on(images: range) -> list[int]:
    return [0 if image in images else 1 for image in range(100)]


def figures(images: range, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"predictions": right_on(images), "top1": len(images) / 100}
    compared = {"agreement": 0.5, "kl": 0.25, "sqnr_db": 20.0, "bytes": 1000, "seconds": 1.5}
    operators = {"quantized_operators": 3, "float_operators": 2, "peak_bytes": 3 << 20}
    return {**found, **compared, **operators, **more}


@pytest.fixture
def rows() -> list[Row]:
    """Return a float32 row, the best recipe, one as good, one much worse, and one that failed."""
    base = Cell(Subject("m", ratio=4.0), None, {"n": 0})
    cells = [base, *(Cell(base.subject, load_recipe(n), {"n": n}, base) for n in NAMES)]
    results = [
        Result({"predictions": right_on(range(90)), "top1": 0.9, "labels": LABELS, "bytes": 4000}),
        Result(figures(range(88), integer_bytes=300, integer_top1=0.87, sqnr_db=None)),
        Result(figures(range(5, 90), first_problem="silu; do this", integer_problems=3)),
        Result(figures(range(60), first_problem="silu; do this", integer_problems=3)),
        Result({}, "no | memory"),
    ]
    return make_rows(cells, {c.key: r for c, r in zip(cells, results, strict=True)})


def test_recipes_are_told_apart_by_the_images_they_differ_on(rows: list[Row]) -> None:
    original, best, level, worse, failed = rows
    assert original.model == "m+x4"
    assert (original.base, original.ratio, original.integer) == ("m", 4.0, "nothing")
    assert [row.standing for row in rows] == ["", "best", "level", "", ""]
    # The best lacks 2 images that float32 has: p = 2 * 1/4. The next lacks 5 and has 2 others.
    assert (best.p_float, best.p_best) == (0.5, 1.0)
    assert level.p_best == pytest.approx(2 * (1 + 7 + 21) / 2**7)
    assert level.p_float == 2 / 2**5
    assert worse.p_best == 2 / 2**28
    assert (failed.p_best, failed.top1, failed.failure) == (None, None, "no | memory")
    assert (best.integer, level.integer, failed.integer) == ("all", "3 of 5 operators", "")
    assert level.integer_problem == "silu, and 2 more"
    assert (best.peak_mib, original.top1_low is not None) == (3.0, True)


def test_without_labels_nothing_is_best() -> None:
    base = Cell(Subject("m"), None, {"n": 0})
    cell = Cell(base.subject, load_recipe(NAMES[0]), {"n": 1}, base)
    unlabelled = {"predictions": [1, 2], "labels": None, "top1": None}
    results = {base.key: Result(unlabelled), cell.key: Result({**unlabelled, "agreement": 1.0})}
    row = make_rows([base, cell], results)[1]
    assert (row.standing, row.p_float, row.p_best, row.agreement) == ("", None, None, 1.0)


def test_the_tables_hold_every_row(rows: list[Row]) -> None:
    text = to_markdown(rows, notes(rows, JOB))
    lines = text.splitlines()
    assert "| no \\| memory |" in lines[6]
    best = next(line for line in lines if "w8a8-mse" in line)
    assert [cell.strip() for cell in best.split("|")[3:8]] == [
        "88.00",
        "*",
        "50.00",
        "0.2500",
        "equal",
    ]
    assert "* Mind <this>." in lines
    assert sum("has no integer model: silu" in line for line in lines) == 1
    table = to_csv(rows).splitlines()
    assert len(table) == 6
    assert table[2].startswith("m+x4,m,4.0,baseline/w8a8-mse,0.88,")
    page = to_html(rows, notes(rows, JOB), JOB)
    assert "<this>" not in page
    assert "<none>" not in page
    assert page.count("<tr>") == 6


def test_times_are_for_people() -> None:
    assert [duration(seconds) for seconds in (0.2, 59.6, 61, 3600)] == [
        "0 s",
        "1 min 0 s",
        "1 min 1 s",
        "1 h 0 min",
    ]
