"""What a quantized graph weighs, and which of its operators are quantized."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from torch import nn

from hybridquant.quant_graph import QuantGraph, find_edges

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Coverage:
    """How many operators of each kind read quantized inputs only.

    Args:
        quantized: Kind to the number of operators all of whose inputs are quantized.
        float: Kind to the number of operators with at least one float input.
    """

    quantized: dict[str, int]
    float: dict[str, int]

    def __str__(self) -> str:
        """Return both counts as one sentence.

        Example:
            >>> print(Coverage({"conv2d": 3}, {"softmax": 1}))
            quantized: 3 conv2d; float: 1 softmax
        """
        return f"quantized: {_counts(self.quantized)}; float: {_counts(self.float)}"


def coverage(graph: QuantGraph) -> Coverage:
    """Return which operators of ``graph`` read quantized inputs only.

    Operators that only move values count nowhere.
    """
    operators: dict[str, tuple[str, bool]] = {}
    taken = {(edge.edge.node, edge.edge.position) for edge in graph.quant_edges}
    for edge in find_edges(graph):
        is_quantized = (edge.node, edge.position) in taken
        _, before = operators.get(edge.node, (edge.kind, True))
        operators[edge.node] = (edge.kind, before and is_quantized)
    counts = {
        wanted: Counter(kind for kind, is_quantized in operators.values() if is_quantized == wanted)
        for wanted in (True, False)
    }
    return Coverage(dict(sorted(counts[True].items())), dict(sorted(counts[False].items())))


def float_bytes(model: nn.Module) -> int:
    """Return the bytes of all parameters and buffers of ``model`` as float32."""
    tensors = [*model.parameters(), *model.buffers()]
    return _FLOAT_BYTES * sum(x.numel() for x in tensors if x.is_floating_point())


def packed_bytes(graph: QuantGraph) -> int:
    """Return the bytes of ``graph`` with every quantized weight packed at its bits.

    Everything else counts as float32: other parameters, constants that capture folded (an
    attention mask, say), and a scale (and, where the scheme is asymmetric, a zero-point) for each
    channel or tensor.
    """
    bits = {
        graph.weight_name(edge): edge.spec.bits
        for edge in graph.quant_edges
        if edge.edge.operand == "weight"
    }
    zero_points = {
        f"{edge.module}.zero_point" for edge in graph.quant_edges if edge.spec.scheme == "symmetric"
    }
    total = 0
    for name, x in [*graph.named_parameters(), *graph.named_buffers()]:
        if name not in zero_points:
            total += -(-x.numel() * bits.get(name, 8 * _FLOAT_BYTES) // 8)
    return total


def _counts(kinds: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "none"
