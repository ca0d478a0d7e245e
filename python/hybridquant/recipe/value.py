"""A recipe as a value, and what it says about the edges of a model."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hybridquant.passes import PASSES
from hybridquant.recipe.field_error import check, check_choice, check_keys
from hybridquant.recipe.finetune import FinetuneSettings
from hybridquant.recipe.rule import Rule
from hybridquant.recipe.unmatched import operand_of, unmatched_message
from hybridquant.types import Edge, QuantSpec

# Operators that multiply: @first and @last are the first and last of them.
PRODUCT_KINDS = frozenset({"conv1d", "conv2d", "conv3d", "conv_transpose2d", "linear", "matmul"})


@dataclass(frozen=True)
class PassSpec:
    """One pass and its options.

    Args:
        name: Name in ``hybridquant.passes``.
        options: Keyword arguments of that pass.

    Raises:
        FieldError: If there is no such pass, or it has no such option.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_choice("pass", "pass", self.name, PASSES.names())
        # A pass is called as PASSES[name](graph, calibration, **options).
        names = list(inspect.signature(PASSES[self.name]).parameters)[2:]
        check_keys("pass", self.options, names)


@dataclass(frozen=True)
class Recipe:
    """What to quantize and how, independent of any model.

    Args:
        name: E.g. ``baseline/w8a8-mse``.
        description: What it does and why; the first sentence stands alone in lists.
        rules: Read in order; a later rule overrides what earlier ones said about an edge, field by
            field. Edges that no rule matches stay in float.
        passes: Run in order on the prepared graph.
        source: Where the choices come from.
        finetune: How ``hybridquant finetune`` trains; None for its defaults.

    Raises:
        FieldError: If a field is empty or of the wrong type.

    Example:
        >>> recipe = Recipe(
        ...     name="example",
        ...     description="4-bit weights.",
        ...     rules=(Rule(("conv2d",), bits=8), Rule(("*",), operand="weight", bits=4)),
        ...     passes=(PassSpec("observe"),),
        ... )
        >>> recipe.resolve("conv2d", "stem", "weight").bits
        4
        >>> recipe.resolve("add", "blocks.0", "activation") is None
        True
    """

    name: str
    description: str
    rules: tuple[Rule, ...]
    passes: tuple[PassSpec, ...]
    source: str = ""
    finetune: FinetuneSettings | None = None

    def __post_init__(self) -> None:
        for name in ("name", "description", "source"):
            value = getattr(self, name)
            is_legal = isinstance(value, str) and bool(value.strip() or name == "source")
            check(is_legal, name, "be text that is not empty", value)
        for name, kind in (("rules", Rule), ("passes", PassSpec)):
            items = getattr(self, name)
            is_legal = isinstance(items, tuple) and all(isinstance(item, kind) for item in items)
            check(is_legal and bool(items), name, "be a list of at least one", items)
        is_legal = self.finetune is None or isinstance(self.finetune, FinetuneSettings)
        check(is_legal, "finetune", "be FinetuneSettings or None", self.finetune)

    def resolve(
        self,
        kind: str,
        path: str,
        operand: str,
        selectors: Collection[str] = (),
        producer: str = "",
    ) -> QuantSpec | None:
        """Return how an edge is quantized, None for float.

        The fields of all matching rules are put together in order, on top of the defaults of
        ``QuantSpec``; the edge is float if none matches or the last that matches says ``skip``.

        Args:
            kind: The operator's kind.
            path: The operator's module path.
            operand: ``weight``, ``activation`` or ``product``.
            selectors: The selectors that hold for the operator, e.g. ``{"@first"}``.
            producer: Kind of the operator that made the input, e.g. ``softmax``.
        """
        spec, is_float = QuantSpec(), True
        for rule in self.rules:
            if rule.matches(kind, path, operand, selectors, producer):
                is_float = rule.skip
                spec = replace(spec, **rule.settings())
        return None if is_float else spec

    def resolve_all(self, edges: Sequence[Edge]) -> list[QuantSpec | None]:
        """Return how each edge of a model is quantized, None for float.

        Args:
            edges: All edges of the model, in graph order: ``@first`` and ``@last`` are taken from
                it.

        Raises:
            ValueError: If a rule that is not optional matches none of them.
        """
        self.check_all_used(edges)
        selectors = _selectors(edges)
        return [
            self.resolve(
                edge.kind, edge.path, operand_of(edge), selectors[edge.node], edge.producer
            )
            for edge in edges
        ]

    def check_all_used(self, edges: Sequence[Edge]) -> None:
        """Check that every rule that is not optional matches an edge.

        Args:
            edges: All edges of the model, in graph order.

        Raises:
            ValueError: If one matches none; the text names the rule and what the model has.
        """
        selectors = _selectors(edges)
        for index, rule in enumerate(self.rules):
            if not rule.optional and not any(
                rule.matches(
                    edge.kind, edge.path, operand_of(edge), selectors[edge.node], edge.producer
                )
                for edge in edges
            ):
                text = unmatched_message(rule, edges, selectors)
                msg = f"recipe {self.name}: rules[{index}] {text}"
                raise ValueError(msg)


def _selectors(edges: Sequence[Edge]) -> dict[str, frozenset[str]]:
    """Return the selectors that hold for each operator, by its node's name."""
    products = [edge.node for edge in edges if edge.kind in PRODUCT_KINDS]
    ends = {"@first": products[0], "@last": products[-1]} if products else {}
    return {
        edge.node: edge.marks | {name for name, node in ends.items() if node == edge.node}
        for edge in edges
    }
