"""Sums and extremes over positions, pooling and resizing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridquant.lower.int_graph import IntGraph, IntNode
from hybridquant.lower.simulate import SIMULATORS, centred, zero_point
from hybridquant.lower.simulate.rounding import requantize, rounding_of

_RESIZE_ONE = 2**11


@SIMULATORS.register("mean")
def simulate_mean(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Add up over axes; the division is in the multiplier."""
    (x,) = centred(graph, node, inputs)
    a = node.attributes
    sums = x.sum(a["axes"], keepdim=a["keepdim"])
    return requantize(sums, a["m"], a["shift"], rounding_of(node)) + zero_point(graph, node)


@SIMULATORS.register("amax")
def simulate_amax(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Take the largest code over axes."""
    return _extreme(graph, node, inputs, torch.amax)


@SIMULATORS.register("amin")
def simulate_amin(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Take the smallest code over axes."""
    return _extreme(graph, node, inputs, torch.amin)


def _extreme(
    graph: IntGraph, node: IntNode, inputs: Sequence[Tensor], function: Callable[..., Tensor]
) -> Tensor:
    (x,) = centred(graph, node, inputs)
    a = node.attributes
    extremes = function(x, a["axes"], keepdim=a["keepdim"])
    codes = requantize(extremes, a["m"], a["shift"], rounding_of(node))
    return codes + zero_point(graph, node)


@SIMULATORS.register("avg_pool2d")
def simulate_avg_pool2d(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Add up under windows; the multiplier depends on how many positions lie under each."""
    (x,) = centred(graph, node, inputs)
    ones = torch.ones_like(x[:1, :1])
    sums, counts = _window_sums(x, node), _window_sums(ones, node)
    m, shift = (node.constants[key].long()[counts - 1] for key in ("m", "shift"))
    return requantize(sums, m, shift, rounding_of(node)) + zero_point(graph, node)


@SIMULATORS.register("max_pool2d")
def simulate_max_pool2d(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Take the largest code under each window."""
    del graph
    a = node.attributes
    return F.max_pool2d(inputs[0].double(), a["kernel"], a["stride"], a["padding"]).long()


@SIMULATORS.register("resize_bilinear")
def simulate_resize_bilinear(graph: IntGraph, node: IntNode, inputs: Sequence[Tensor]) -> Tensor:
    """Mix four codes with weights of 11 bits along each axis."""
    (x,) = centred(graph, node, inputs)
    for axis, name in ((-1, "columns"), (-2, "rows")):
        low, high, weight = (node.constants[f"{name}_{k}"] for k in ("low", "high", "weight"))
        second = weight.long() if axis == -1 else weight.long()[:, None]
        x = x.index_select(axis, low) * (_RESIZE_ONE - second) + x.index_select(axis, high) * second
    a = node.attributes
    return requantize(x, a["m"], a["shift"], rounding_of(node)) + zero_point(graph, node)


def _window_sums(x: Tensor, node: IntNode) -> Tensor:
    """Return the sums under each window, positions outside the image counting 0."""
    a = node.attributes
    vertical, horizontal = a["padding"]
    padded = F.pad(x, [horizontal, horizontal, vertical, vertical])
    rows, columns = (padded.unfold(2, a["kernel"][0], a["stride"][0])), a["kernel"][1]
    return rows.unfold(3, columns, a["stride"][1]).sum((-1, -2))
