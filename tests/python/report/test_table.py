"""Tables."""

import pytest

from hybridquant.report import format_table


def test_a_table_without_rows_is_its_header() -> None:
    assert format_table(["model", "n"], []).splitlines() == ["| model | n   |", "|-------|-----|"]


def test_rows_must_fit_the_header() -> None:
    with pytest.raises(ValueError, match="row must have 2 cells, got 1"):
        format_table(["a", "b"], [["x"]])
