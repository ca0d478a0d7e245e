"""Convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS, centred, zero_point
from hybridquant.lower.simulate.rounding import requantize, rounding_of


@SIMULATORS.register("conv2d")
def simulate_conv2d(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Convolve; take off the offset of each tap inside the image.

    In float64: every sum is below 2^53, so each is exact.
    """
    (x,) = centred(graph, node, inputs)
    a = node.attributes
    weight, bias, m, shift = (node.constants[k] for k in ("weight", "bias", "m", "shift"))
    options = (a["stride"], a["padding"], a["dilation"], a["groups"])
    sums = F.conv2d(x.double(), weight.double(), bias.double(), *options)
    if "tap_offset" in node.constants:
        inside = torch.ones(1, 1, *x.shape[2:], dtype=torch.float64)
        offsets = node.constants["tap_offset"].double().unsqueeze(1)
        sums = sums - F.conv2d(inside, offsets, None, *options[:3])
    rows = (-1, 1, 1)
    m, shift = m.reshape(rows), shift.reshape(rows)
    return requantize(sums.long(), m, shift, rounding_of(node)) + zero_point(graph, node)


@SIMULATORS.register("linear")
def simulate_linear(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Multiply rows by a weight. In float64, as convolutions."""
    (x,) = centred(graph, node, inputs)
    weight, bias, m, shift = (node.constants[k] for k in ("weight", "bias", "m", "shift"))
    sums = F.linear(x.double(), weight.double(), bias.double()).long()
    return requantize(sums, m, shift, rounding_of(node)) + zero_point(graph, node)
