"""Levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS


@SIMULATORS.register("levels")
def simulate_levels(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Return the level after as many thresholds as each code is not below."""
    del graph
    (x,) = inputs
    thresholds = node.constants["thresholds"].long()
    index = torch.zeros_like(x)
    for threshold in thresholds.tolist():
        index += x >= threshold
    return node.constants["levels"].long()[index]
