"""A progress bar for everything that may take longer than two seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """Yield ``items`` behind a progress bar on standard error.

    The bar appears after two seconds, and never where standard error is not a terminal.

    Args:
        items: What to iterate over.
        what: Label, e.g. ``"calibrate"``.
        total: Number of items where ``len(items)`` does not know it.
    """
    return tqdm(items, desc=what, total=total, disable=None, delay=2.0, leave=False)
