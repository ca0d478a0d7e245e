"""Sums and extremes of two tensors, and changes of codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS, centred, zero_point
from hybridquant.lower.simulate.rounding import requantize


@SIMULATORS.register("add")
def simulate_add(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Add two tensors with one rounding."""
    return _joined(graph, node, inputs, torch.add)


@SIMULATORS.register("maximum")
def simulate_maximum(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Take the larger of two tensors with one rounding."""
    return _joined(graph, node, inputs, torch.maximum)


@SIMULATORS.register("minimum")
def simulate_minimum(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Take the smaller of two tensors with one rounding."""
    return _joined(graph, node, inputs, torch.minimum)


def _joined(
    graph: IntGraph, node: IntNode, inputs: Sequence[Tensor], join: Callable[..., Tensor]
) -> Tensor:
    shift = node.attributes["shift"]
    x, y = (
        value * m
        for value, m in zip(centred(graph, node, inputs), node.attributes["m"], strict=True)
    )
    result: Tensor = ((join(x, y) + (1 << (shift - 1))) >> shift) + zero_point(graph, node)
    return result


@SIMULATORS.register("requantize")
def simulate_requantize(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Change the codes of a tensor."""
    (x,) = centred(graph, node, inputs)
    return requantize(x, node.attributes["m"], node.attributes["shift"]) + zero_point(graph, node)


@SIMULATORS.register("add_constant")
def simulate_add_constant(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Add a number to sums."""
    del graph
    return inputs[0] + int(node.attributes["offset"])
