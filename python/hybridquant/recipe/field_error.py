"""Errors of one field, which know where the field stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hybridquant.registry import unknown_name


class FieldError(ValueError):
    """A field of a recipe has a value that is not allowed.

    Args:
        path: Where the field stands, e.g. ``rules[2].bits``.
        text: What is wrong: ``must <requirement>, got <value>[; <what to do>]``.

    Example:
        >>> str(FieldError("bits", "must be 8, got 9").at("rules[2].bits"))
        'rules[2].bits must be 8, got 9'
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        super().__init__(f"{path} {text}")

    def at(self, path: str) -> FieldError:
        """Return the same error for a field that stands at ``path``."""
        return FieldError(path, self.text)


def check(is_legal: bool, path: str, requirement: str, got: object, hint: str = "") -> None:
    """Check a field.

    Args:
        is_legal: Whether the value is allowed.
        path: Where the field stands.
        requirement: What it has to be, to follow "must".
        got: What was given.
        hint: What to do, if there is more to say.

    Raises:
        FieldError: If it is not allowed.
    """
    if not is_legal:
        raise FieldError(path, f"must {requirement}, got {got!r}{'; ' if hint else ''}{hint}")


def check_choice(path: str, what: str, value: object, known: Iterable[str]) -> None:
    """Check that ``value`` is one of ``known``.

    Args:
        path: Where the field stands.
        what: Singular noun, e.g. ``"observer"``.
        value: What was given.
        known: The valid names.

    Raises:
        FieldError: If it is none of them; the text names the closest.
    """
    names = sorted(known)
    article = "an" if what[0] in "aeiou" else "a"
    is_known = isinstance(value, str) and value in names
    check(is_known, path, f"be {article} {what}", value, _closest(value, names))


def check_keys(path: str, mapping: Mapping[Any, Any], known: Iterable[str]) -> None:
    """Check that ``mapping`` has no other keys than ``known``.

    Raises:
        FieldError: If it has; the text names the closest ones.
    """
    names = sorted(known)
    for key in mapping:
        check(key in names, path, "have known keys only", key, _closest(key, names))


def _closest(name: object, known: list[str]) -> str:
    return unknown_name("", name, known).partition("; ")[2] if known else "it has none"
