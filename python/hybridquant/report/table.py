"""Plain-text tables, aligned, that are valid Markdown as well."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table whose columns are aligned for a terminal too.

    Args:
        header: Column titles.
        rows: Cells; columns of numbers (written out or not, empty cells aside) go to the right.

    Raises:
        ValueError: If a row has another length than the header.

    Example:
        >>> print(format_table(["model", "top-1"], [["float", "82.50"], ["w8a8", "80.25"]]))
        | model | top-1 |
        |-------|------:|
        | float | 82.50 |
        | w8a8  | 80.25 |
    """
    for row in rows:
        if len(row) != len(header):
            msg = f"format_table: row must have {len(header)} cells, got {len(row)}: {list(row)}"
            raise ValueError(msg)
    cells = [[str(cell) for cell in row] for row in rows]
    numeric = [bool(rows) and all(_is_number(row[i]) for row in cells) for i in range(len(header))]
    widths = [max(len(title), *(len(row[i]) for row in cells), 3) for i, title in enumerate(header)]
    rule = [f"{'-' * (w + 1)}{':' if n else '-'}" for w, n in zip(widths, numeric, strict=True)]
    lines = [_line(header, widths, numeric), f"|{'|'.join(rule)}|"]
    return "\n".join(lines + [_line(row, widths, numeric) for row in cells])


def _is_number(cell: str) -> bool:
    try:
        float(cell or "0")
    except ValueError:
        return cell == "-"
    return True


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if is_number else cell.ljust(width)
        for cell, width, is_number in zip(cells, widths, numeric, strict=True)
    ]
    return f"| {' | '.join(padded)} |"
