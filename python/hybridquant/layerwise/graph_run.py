"""A run of a whole QuantGraph with some operators quantized, and results kept on the way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import weight_of
from hybridquant.layerwise.units import readers_of
from hybridquant.quant_graph import QuantGraph


class GraphRun(fx.Interpreter):
    """Runs a QuantGraph in the dtype of its input, quantizing what some operators read.

    Args:
        graph: The graph.
        wanted: Operators whose results are kept in ``values``.
        quantized: Operators whose operands are quantized; the others read floats, and the
            original parameters.
        shifts: Is added to the results of these operators.
    """

    def __init__(
        self,
        graph: QuantGraph,
        wanted: Collection[fx.Node],
        quantized: Collection[fx.Node],
        shifts: Mapping[fx.Node, float],
    ) -> None:
        super().__init__(graph)
        self._graph, self._wanted = graph, frozenset(wanted)
        self._quantized, self._shifts = frozenset(quantized), shifts
        self.values: dict[fx.Node, Tensor] = {}
        self._dtype = torch.float32

    def run(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Return all that the model returns, side by side, [batch, logits]."""
        self._dtype = x.dtype
        logits: Tensor = super().run(x)
        return logits

    def run_node(self, node: fx.Node) -> Any:
        """Compute one node."""
        if node.op == "output":
            return torch.cat([self.env[each].flatten(1) for each in node.all_input_nodes], -1)
        if node.op == "get_attr":
            is_on = any(reader in self._quantized for reader in readers_of(node))
            source = weight_of(self._graph, node) if is_on else self._graph.original(node)
            return source.detach().to(self._dtype) if source.is_floating_point() else source
        if node.op == "call_module":
            is_on = any(reader in self._quantized for reader in readers_of(node))
            return super().run_node(node) if is_on else self.env[node.all_input_nodes[0]]
        value = super().run_node(node)
        if node in self._shifts:
            value = value + self._shifts[node]
        if node in self._wanted:
            self.values[node] = value
        return value
