"""Strict reading of plain data: every value is checked for its type and range."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Any

from hybridquant.recipe.field_error import FieldError, check, check_keys

_LONGEST_TEXT = 100


def parse_json(field: str, text: str | bytes) -> Any:
    """Return what JSON text holds.

    Raises:
        FieldError: If it is no JSON, an object has a key twice, or a number is NaN or infinite.

    Example:
        >>> parse_json("graph", '{"a": 1, "a": 2}')
        Traceback (most recent call last):
        hybridquant.recipe.field_error.FieldError: graph must have each key once, got 'a' twice
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result:
                raise FieldError(field, f"must have each key once, got {short(key)!r} twice")
            result[key] = value
        return result

    def no_number(name: str) -> Any:
        raise FieldError(field, f"must have finite numbers, got {name}")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=no_number)
    except FieldError:
        raise
    except (ValueError, RecursionError) as error:
        raise FieldError(field, f"must be JSON, got {short(text)!r} ({error})") from error


def record(
    field: str, value: object, keys: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return an object that has all of ``keys``, perhaps some of ``optional``, and no others.

    Raises:
        FieldError: If it is none.
    """
    check(isinstance(value, dict), field, "be an object", short(value))
    assert isinstance(value, dict)
    check_keys(field, value, {*keys, *optional})
    for key in keys:
        check(key in value, field, f"have the key {key}", short(sorted(value)))
    return value


def items(field: str, value: object) -> list[Any]:
    """Return a list.

    Raises:
        FieldError: If it is none.
    """
    check(isinstance(value, list), field, "be a list", short(value))
    assert isinstance(value, list)
    return value


def text(field: str, value: object) -> str:
    """Return text that UTF-8 can hold.

    Raises:
        FieldError: If it is none.
    """
    is_legal = isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)
    check(is_legal, field, "be text", short(value))
    return str(value)


def whole(field: str, value: object, lowest: int, highest: int) -> int:
    """Return a whole number from ``lowest`` to ``highest``.

    Raises:
        FieldError: If it is none; ``true`` is none.
    """
    is_legal = type(value) is int and lowest <= value <= highest
    check(is_legal, field, f"be a whole number from {lowest} to {highest}", short(value))
    assert isinstance(value, int)
    return value


def positive(field: str, value: object) -> float:
    """Return a finite number above 0.

    Raises:
        FieldError: If it is none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        result = float(value) if is_number else 0.0  # type: ignore[arg-type]
    except OverflowError:
        result = math.inf
    check(0 < result < math.inf, field, "be a finite number above 0", short(value))
    return result


def short(value: object) -> object:
    """Return ``value``, or the beginning of its text where that is long, for error texts."""
    whole_text = value if isinstance(value, str) else repr(value)
    is_short = len(whole_text) <= _LONGEST_TEXT
    return value if is_short else f"{whole_text[:_LONGEST_TEXT]}..."
