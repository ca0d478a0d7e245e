"""The quantized operators of a graph, and at how many bits."""

from __future__ import annotations

from dataclasses import dataclass

from hybridquant.quant_graph import QuantGraph


@dataclass(frozen=True)
class Operator:
    """An operator with at least one quantized input.

    Args:
        node: Its name in the graph.
        kind: E.g. ``conv2d``.
        path: Path of its module in the user's model; empty for the model's own forward.
        weight_bits: Of its weight; None where it has none or that is in float.
        input_bits: Of each quantized activation that it reads.
    """

    node: str
    kind: str
    path: str
    weight_bits: int | None
    input_bits: tuple[int, ...]

    @property
    def bits(self) -> str:
        """The bits for people: ``W8 A8``; ``A8/16`` where two inputs differ.

        Example:
            >>> Operator("conv2d", "conv2d", "stem", 4, (8,)).bits
            'W4 A8'
            >>> Operator("add", "add", "", None, (16, 8)).bits
            'A8/16'
        """
        weight = [] if self.weight_bits is None else [f"W{self.weight_bits}"]
        inputs = "/".join(str(bits) for bits in sorted(set(self.input_bits)))
        return " ".join([*weight, *([f"A{inputs}"] if inputs else [])])

    @property
    def place(self) -> str:
        """The module path for people, also where it is empty."""
        return self.path or "(the model itself)"


def operators_of(graph: QuantGraph) -> tuple[Operator, ...]:
    """Return every operator of ``graph`` with a quantized input, in graph order."""
    weights: dict[str, int] = {}
    inputs: dict[str, list[int]] = {}
    found: dict[str, tuple[str, str]] = {}
    for quantized in graph.quant_edges:
        edge = quantized.edge
        found[edge.node] = (edge.kind, edge.path)
        if edge.operand == "weight":
            weights[edge.node] = quantized.spec.bits
        else:
            inputs.setdefault(edge.node, []).append(quantized.spec.bits)
    return tuple(
        Operator(node, kind, path, weights.get(node), tuple(inputs.get(node, ())))
        for node, (kind, path) in found.items()
    )
