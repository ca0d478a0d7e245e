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
    """Look every byte of the image up in its channel's table."""
    del graph
    (image,) = inputs
    tables = node.constants["table"].long()
    return torch.stack([t[c] for t, c in zip(tables, image.unbind(1), strict=True)], 1)
