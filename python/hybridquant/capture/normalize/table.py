"""The table of rewrites, and what all of them need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import fx

from hybridquant.capture.draft import Draft

# Returns the node (for an operator with several outputs: the nodes) to use instead of the given
# one, or None to leave it. What it inserts lands before the given node, on its module path.
Rewrite = Callable[[Draft, fx.Node], "fx.Node | Sequence[fx.Node] | None"]

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
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    values = {argument.name: argument.default_value for argument in schema}
    values.update({argument.name: value for argument, value in zip(schema, node.args)})
    values.update(node.kwargs)
    return values


def pair(value: Any, size: int = 2) -> list[int]:
    """Return a spatial argument, given as one int or a list, as a list of ``size`` ints."""
    values = [value] if isinstance(value, int) else list(value)
    return values * size if len(values) == 1 else values
