"""Sums and extremes of two tensors, and changes of codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS, centred, zero_point
from hybridquant.lower.simulate.rounding import requantize, rounding_of, to_even


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
    shift = torch.tensor(node.attributes["shift"])
    x, y = (
        value * m
        for value, m in zip(centred(graph, node, inputs), node.attributes["m"], strict=True)
    )
    joined: Tensor = join(x, y)
    result = (joined + (1 << (shift - 1))) >> shift
    if rounding_of(node) == "half_even":
        result = to_even(result, joined, shift)
    return result + zero_point(graph, node)


@SIMULATORS.register("requantize")
def simulate_requantize(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Change the codes of a tensor."""
    (x,) = centred(graph, node, inputs)
    a = node.attributes
    return requantize(x, a["m"], a["shift"], rounding_of(node)) + zero_point(graph, node)


@SIMULATORS.register("add_constant")
def simulate_add_constant(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Add a number to sums."""
    del graph
    return inputs[0] + int(node.attributes["offset"])
