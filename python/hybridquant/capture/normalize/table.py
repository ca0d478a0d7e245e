"""The table of rewrites, and what all of them need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import fx

from hybridquant.capture.draft import Draft
from hybridquant.capture.graph import args_of

# What to use instead of a node: another node, for an operator with several outputs a list of nodes,
# or None to leave it. (fx types a node's arguments too loosely to say so in types.)
Result: TypeAlias = Any

# What it inserts lands before the given node, on its module path.
Rewrite = Callable[[Draft, fx.Node], Result]

REWRITES: dict[Any, Rewrite] = {}


def rewrites(*operators: Any) -> Callable[[Rewrite], Rewrite]:
    """Return a decorator that enters a rewrite for each of ``operators``."""

    def enter(rewrite: Rewrite) -> Rewrite:
        for operator in operators:
            REWRITES[operator] = rewrite
        return rewrite

    return enter


def bound(node: fx.Node) -> dict[str, Any]:
    """Return the node's arguments by their schema name, defaults filled in."""
    operator: Any = node.target
    schema = operator._schema.arguments
    values = {argument.name: argument.default_value for argument in schema}
    given = args_of(node)
    values.update(zip([argument.name for argument in schema[: len(given)]], given, strict=True))
    values.update(node.kwargs)
    return values


def pair(value: Any, size: int = 2) -> list[int]:
    """Return a spatial argument, given as one int or a list, as a list of ``size`` ints."""
    values = [value] if isinstance(value, int) else list(value)
    return values * size if len(values) == 1 else values
