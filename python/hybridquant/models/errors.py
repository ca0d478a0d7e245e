"""The error of this package."""

from __future__ import annotations

from typing import NoReturn


def reject(argument: str, requirement: str, got: str, remedy: str = "") -> NoReturn:
    """Raise the error of ``load_model`` for an argument that does not do.

    Raises:
        ValueError: Always.
    """
    msg = f"load_model: {argument} must {requirement}, got {got}{remedy and f'; {remedy}'}"
    raise ValueError(msg)
