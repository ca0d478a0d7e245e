"""A comparison as Markdown, CSV and plain data."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from hybridquant.comparison.cell import FLOAT
from hybridquant.comparison.row import LEVEL, Row
from hybridquant.report import format_table

SIGNS: Mapping[str, str] = {"best": "*", "level": "=", "": ""}


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        title: Its title, with the unit.
        text: What it shows of a row.
        key: What it is sorted by; None where by its text.
    """

    title: str
    text: Callable[[Row], str]
    key: Callable[[Row], float | None] | None = None


def _shown(title: str, field: str, form: str, factor: float = 1.0) -> Column:
    def key(row: Row) -> float | None:
        value = getattr(row, field)
        return None if value is None else factor * value

    def text(row: Row) -> str:
        value = key(row)
        return "" if value is None else format(value, form)

    return Column(title, text, key)


def _sqnr(row: Row) -> str:
    is_equal = row.sqnr_db is None and row.agreement is not None
    return "equal" if is_equal else _SQNR.text(row)


_SQNR = _shown("SQNR dB", "sqnr_db", ".1f")
COLUMNS = (
    Column("model", lambda row: row.model),
    Column("recipe", lambda row: row.recipe),
    _shown("top-1 %", "top1", ".2f", 100),
    Column("best", lambda row: SIGNS[row.standing]),
    _shown("agreement %", "agreement", ".2f", 100),
    _shown("KL nats", "kl", ".4f"),
    Column(_SQNR.title, _sqnr, _SQNR.key),
    _shown("p, float32", "p_float", ".2g"),
    _shown("p, best", "p_best", ".2g"),
    Column("what is integer", lambda row: row.integer),
    _shown("integer top-1 %", "integer_top1", ".2f", 100),
    _shown("bytes", "bytes", ".0f"),
    _shown("integer bytes", "integer_bytes", ".0f"),
    _shown("seconds", "seconds", ".1f"),
    _shown("peak MiB", "peak_mib", ".0f"),
)
_FAILURE = Column("failed", lambda row: row.failure)


def columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """Return the columns of a table: one on failures where there are any."""
    return (*COLUMNS, _FAILURE) if any(row.failure for row in rows) else COLUMNS


def to_markdown(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """Return the table and the sentences under it."""
    shown = columns(rows)
    table = format_table(
        [column.title for column in shown],
        [[column.text(row).replace("|", "\\|") for column in shown] for row in rows],
    )
    return "\n".join([table, "", *(f"* {note}" for note in notes)])


def to_csv(rows: Sequence[Row]) -> str:
    """Return all fields of all rows, shares 0 to 1, empty where there is no figure."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return file.getvalue()


def notes(rows: Sequence[Row], job: Mapping[str, Any]) -> list[str]:
    """Return what must be known to read the table, a sentence or two each."""
    found = [_measured(job)]
    if any(row.standing for row in rows):
        found.append(
            "best: `*` has the highest top-1 of the model's recipes; `=` cannot be told from it on "
            f"these images (McNemar's test, p at least {LEVEL:g})."
        )
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.integer_problem:
            reasons.setdefault(row.integer_problem, []).append(f"{row.recipe} on {row.model}")
    for reason, where in reasons.items():
        more = f" (and {len(where) - 1} more)" if len(where) > 1 else ""
        found.append(f"{where[0]}{more} has no integer model: {reason}.")
    return found + list(job["warnings"])


def _measured(job: Mapping[str, Any]) -> str:
    labels = "labelled" if job["is_labelled"] else "unlabelled"
    return (
        f"Measured on {job['eval_images']} {labels} images of {job['eval']}, calibrated on "
        f"{job['calib_images']} of {job['calib']}, seed {job['seed']}, batches of "
        f"{job['batch_size']}, {job['threads']} threads; hybridquant "
        f"{job['versions']['hybridquant']}, torch {job['versions']['torch']}, timm "
        f"{job['versions']['timm']}."
    )


def recipes_of(rows: Sequence[Row]) -> list[str]:
    """Return the recipes of a table in their order, float32 aside."""
    return list(dict.fromkeys(row.recipe for row in rows if row.recipe != FLOAT))
