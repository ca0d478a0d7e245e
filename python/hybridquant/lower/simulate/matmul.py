"""Products and quotients of activations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS, centred, zero_point
from hybridquant.lower.simulate.rounding import floor_divide, requantize, rounding_of


@SIMULATORS.register("matmul")
def simulate_matmul(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Multiply two stacks of matrices. In float64: every sum is below 2^53."""
    x, y = centred(graph, node, inputs)
    sums = (x.double() @ y.double()).long()
    a = node.attributes
    return requantize(sums, a["m"], a["shift"], rounding_of(node)) + zero_point(graph, node)


@SIMULATORS.register("matmul_sums")
def simulate_matmul_sums(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Multiply two stacks of matrices and keep the sums."""
    x, y = centred(graph, node, inputs)
    return (x.double() @ y.double()).long()


@SIMULATORS.register("mul")
def simulate_mul(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Multiply element by element."""
    x, y = centred(graph, node, inputs)
    a = node.attributes
    return requantize(x * y, a["m"], a["shift"], rounding_of(node)) + zero_point(graph, node)


@SIMULATORS.register("div")
def simulate_div(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Divide element by element; the quotient by 0 is 0."""
    x, y = torch.broadcast_tensors(*centred(graph, node, inputs))
    m, shift = node.attributes["m"], node.attributes["shift"]
    x, divisor = x * y.sign(), y.abs().clamp(min=1)
    quotient = floor_divide(2 * x * m + (divisor << shift), divisor << (shift + 1))
    return torch.where(y == 0, 0, quotient) + zero_point(graph, node)
