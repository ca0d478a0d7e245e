"""Recipes with more bits for some operators."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hybridquant.analysis.operators import Operator
from hybridquant.recipe import Recipe, Rule
from hybridquant.recipe.unmatched import operand_of
from hybridquant.types import Edge, Operand, QuantSpec

WEIGHT_BITS = 8
# Every integer node that reads 8 bits reads 16 of this form.
_INPUT_SETTINGS: dict[str, Any] = {
    "scheme": "asymmetric",
    "granularity": "tensor",
    "observer": "minmax",
    "include_zero": True,
    "quantizer": "affine",
}
_WEIGHT_SETTINGS: dict[str, Any] = {
    "scheme": "symmetric",
    "granularity": "channel",
    "quantizer": "affine",
}


@dataclass(frozen=True)
class Raise:
    """More bits for the weights or the inputs of the operators of one kind in one module.

    A rule knows operators by kind and module path: where a module computes several of a kind, such
    as the two matrix products of an attention, all of them get the bits.

    Args:
        kind: E.g. ``conv2d``.
        path: Module path.
        operand: ``weight`` or ``activation``.
        bits: What those with fewer bits get.
    """

    kind: str
    path: str
    operand: Operand
    bits: int


def raises_for(operators: Iterable[Operator], operand: Operand, bits: int) -> list[Raise]:
    """Return what raises the operators with fewer than ``bits``, each once, in their order."""
    found: dict[Raise, None] = {}
    for operator in operators:
        has = operator.input_bits if operand == "activation" else (operator.weight_bits,)
        if any(number is not None and number < bits for number in has):
            found[Raise(operator.kind, operator.path, operand, bits)] = None
    return list(found)


def with_raises(
    recipe: Recipe, raises: Sequence[Raise], edges: Sequence[Edge], name: str, description: str
) -> Recipe:
    """Return ``recipe`` with rules behind its own that carry out ``raises``.

    Edges that the recipe leaves in float, or that have as many bits, stay as they are, save where
    no rule can tell them from one that is raised.

    Args:
        recipe: What is refined.
        raises: In any order.
        edges: All edges of the model.
        name: Of the result.
        description: Of the result; its first sentence stands alone in lists.
    """
    before = recipe.resolve_all(edges)
    specs: dict[_Inputs, list[QuantSpec | None]] = {}
    for edge, spec in zip(edges, before, strict=True):
        specs.setdefault(_inputs_of(edge), []).append(spec)
    chosen = {
        inputs: wanted
        for wanted in raises
        for inputs, found in specs.items()
        if inputs.are_of(wanted) and _is_low(found, wanted.bits)
    }
    rules = [rule for wanted in raises for rule in _rules(wanted, list(specs), chosen)]
    raised = replace(
        recipe, name=name, description=description, rules=(*recipe.rules, *_merged(rules))
    )
    restoring = {
        _restoring(edge, spec): None
        for edge, spec, now in zip(edges, before, raised.resolve_all(edges), strict=True)
        if now != spec and _inputs_of(edge) not in chosen
    }
    return replace(raised, rules=(*raised.rules, *restoring))


@dataclass(frozen=True)
class _Inputs:
    """Inputs that no rule can tell apart."""

    kind: str
    path: str
    edge_operand: Operand
    operand: str
    producer: str

    def are_of(self, wanted: Raise) -> bool:
        """Tell whether they are among those that ``wanted`` means."""
        mine = (self.kind, self.path, self.edge_operand)
        return mine == (wanted.kind, wanted.path, wanted.operand)


def _inputs_of(edge: Edge) -> _Inputs:
    return _Inputs(edge.kind, edge.path, edge.operand, operand_of(edge), edge.producer)


def _rules(wanted: Raise, known: Sequence[_Inputs], chosen: Mapping[_Inputs, Raise]) -> list[Rule]:
    """Return one rule for all inputs where all are to be raised; else one an operand."""
    meant = [inputs for inputs in known if inputs.are_of(wanted)]
    settings = _WEIGHT_SETTINGS if wanted.operand == "weight" else _INPUT_SETTINGS
    place = {"operators": (wanted.kind,), "modules": (_pattern(wanted.path),)}
    fields: dict[str, Any] = {**place, "bits": wanted.bits, **settings}
    if all(inputs in chosen for inputs in meant):
        return [Rule(operand=wanted.operand, **fields)]
    return [
        Rule(operand=inputs.operand, producers=(inputs.producer,), **fields)
        for inputs in meant
        if inputs in chosen
    ]


def _is_low(specs: Sequence[QuantSpec | None], bits: int) -> bool:
    known = [spec.bits for spec in specs if spec is not None]
    return len(known) == len(specs) and min(known) < bits


def _restoring(edge: Edge, spec: QuantSpec | None) -> Rule:
    """Return the rule for an edge that another rule took along: it stays as it was."""
    place: dict[str, Any] = {
        "operators": (edge.kind,),
        "modules": (_pattern(edge.path),),
        "operand": operand_of(edge),
        "producers": (edge.producer,),
    }
    if spec is None:
        return Rule(**place, skip=True)
    names = ("bits", "scheme", "granularity", "observer", "observer_options")
    more = ("include_zero", "quantizer", "quantizer_options")
    return Rule(**place, **{key: getattr(spec, key) for key in (*names, *more)})


def _merged(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules with those that differ in their modules only as one, in first order."""
    modules: dict[Rule, list[str]] = {}
    for rule in rules:
        modules.setdefault(replace(rule, modules=("*",)), []).extend(rule.modules)
    return [replace(rule, modules=tuple(dict.fromkeys(paths))) for rule, paths in modules.items()]


def _pattern(path: str) -> str:
    """Return a pattern of a rule that only ``path`` matches."""
    if not path:
        return "@root"
    return re.sub(r"([*?[]|^@)", r"[\1]", path)
