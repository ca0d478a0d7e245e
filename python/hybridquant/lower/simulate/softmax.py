"""Softmax over the last axis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS, zero_point
from hybridquant.lower.simulate.rounding import floor_divide


@SIMULATORS.register("softmax")
def simulate_softmax(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Look up the exponential of each distance from the largest code, and divide by their sum."""
    exponentials, sums = _exponentials(node, inputs[0])
    shares = floor_divide(2 * exponentials * node.attributes["m"] + (sums << 8), sums << 9)
    return shares + zero_point(graph, node)


@SIMULATORS.register("softmax_log2")
def simulate_softmax_log2(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Give the negated logarithm of each share, to base 2, instead of the share."""
    exponentials, sums = _exponentials(node, inputs[0])
    ratios = floor_divide(2 * sums + exponentials, 2 * exponentials.clamp(min=1))
    # frexp of a number below 2^53 is exact in float64.
    floors = torch.frexp(ratios.double()).exponent.long() - 1
    powers = torch.ones_like(ratios) << floors
    codes = floors + (2 * (ratios - powers) >= powers).long()
    highest = graph.tensors[node.output].codes.highest
    return torch.where(exponentials == 0, highest, codes)


def _exponentials(node: IntNode, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the exponentials of codes, and the sums over their rows [*, 1]."""
    table = node.constants["table"].long()
    distances = (x.amax(-1, keepdim=True) - x).clamp(max=len(table) - 1)
    exponentials = table[distances]
    return exponentials, exponentials.sum(-1, keepdim=True)
