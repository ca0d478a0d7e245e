"""Functions of the program that runs the model."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS


@SIMULATORS.register("external")
def simulate_external(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Call a function of the graph."""
    return graph.functions[node.attributes["function"]](inputs).long()
