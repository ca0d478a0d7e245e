"""Why a rule matches no edge of a model, in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from hybridquant.recipe.rule import Rule
from hybridquant.types import Edge


def unmatched_message(
    rule: Rule, edges: Sequence[Edge], selectors: Mapping[str, frozenset[str]]
) -> str:
    """Return what is wrong with a rule that matches none of ``edges``.

    Args:
        rule: The rule.
        edges: All edges of the model.
        selectors: The selectors that hold for each operator, by its node's name.
    """
    content = (
        f"operators {_listed(rule.operators)}, modules {_listed(rule.modules)}, "
        f"operand {rule.operand}"
    )
    if rule.producers != ("*",):
        content += f", producers {_listed(rule.producers)}"
    return (
        f"must match an edge of the model, got none for {content}; {_hint(rule, edges, selectors)}"
    )


def operand_of(edge: Edge) -> str:
    """Return what rules call the operand of ``edge``: ``weight``, ``activation`` or ``product``."""
    return "product" if edge.is_product else edge.operand


def _hint(rule: Rule, edges: Sequence[Edge], selectors: Mapping[str, frozenset[str]]) -> str:
    if not edges:
        return "the model has no operators to quantize"
    of_kind = [edge for edge in edges if rule.matches_kind(edge.kind)]
    if not of_kind:
        return f"the model's operators are {_listed(sorted({edge.kind for edge in edges}))}"
    made = sorted({edge.producer for edge in of_kind})
    if not any(rule.matches_producer(kind) for kind in made):
        return f"the inputs of the operators it matches are made by {_listed(made)}"
    in_module = [edge for edge in of_kind if rule.matches_module(edge.path, selectors[edge.node])]
    if in_module:
        operands = sorted({operand_of(edge) for edge in in_module})
        return f"the operators it matches have these operands only: {_listed(operands)}"
    paths = list(dict.fromkeys(edge.path for edge in of_kind))
    close = [
        path
        for pattern in rule.modules
        for path in difflib.get_close_matches(pattern, paths, n=3, cutoff=0.3)
    ]
    some = _listed(list(dict.fromkeys(close))[:5] or [*paths[:3], paths[-1]])
    return f"modules with these operators are {some}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
