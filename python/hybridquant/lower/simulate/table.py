"""Tables."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS


@SIMULATORS.register("table")
def simulate_table(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Look every code up."""
    (x,) = inputs
    lowest = graph.tensors[node.inputs[0]].codes.lowest
    return node.constants["table"].long()[x - lowest]


@SIMULATORS.register("channel_table")
def simulate_channel_table(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Look every code up in the table of its channel, axis 1."""
    (x,) = inputs
    entries = x - graph.tensors[node.inputs[0]].codes.lowest
    tables = node.constants["table"].long()
    return torch.stack([t[c] for t, c in zip(tables, entries.unbind(1), strict=True)], 1)
