"""Softmax over the last axis, table form."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS, zero_point
from hybridquant.lower.simulate.rounding import floor_divide


@SIMULATORS.register("softmax")
def simulate_softmax(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Look up the exponential of each distance from the largest code, and divide by their sum."""
    (x,) = inputs
    distances = x.amax(-1, keepdim=True) - x
    exponentials = node.constants["table"].long()[distances]
    sums = exponentials.sum(-1, keepdim=True)
    shares = floor_divide(2 * exponentials * node.attributes["m"] + (sums << 8), sums << 9)
    return shares + zero_point(graph, node)
