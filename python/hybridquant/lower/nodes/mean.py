"""Sums over positions: means, sums, average and maximum pooling."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.fixed_point import multiplier, multipliers
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, CannotLowerError, Lowering, Operand


@LOWERINGS.register("mean")
def lower_mean(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a mean over axes."""
    return _sum(lowering, node, wanted, is_mean=True)


@LOWERINGS.register("sum")
def lower_sum(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a sum over axes."""
    return _sum(lowering, node, wanted, is_mean=False)


def _sum(lowering: Lowering, node: fx.Node, wanted: Codes, *, is_mean: bool) -> Operand:
    x = lowering.operand(node, 0)
    axes = sorted(axis % len(x.shape) for axis in args_of(node)[1])
    count = math.prod(x.shape[axis] for axis in axes) if is_mean else 1
    m, shift = multiplier(x.codes.scale / (count * wanted.scale))
    attributes = {"axes": axes, "keepdim": bool(args_of(node)[2]), "m": m, "shift": shift}
    return lowering.add("mean", node, [x], wanted, attributes)


@LOWERINGS.register("avg_pool2d")
def lower_avg_pool2d(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add an average pooling with a multiplier for each number of positions under the window."""
    x = lowering.operand(node, 0)
    kernel, stride, padding, ceil, count_padding, divisor = args_of(node)[1:7]
    if ceil:
        msg = "has ceil_mode, which no integer node has; use sizes that divide"
        raise CannotLowerError(msg)
    window = _window(kernel, stride, padding)
    largest = math.prod(window["kernel"])
    counts = torch.arange(1, largest + 1, dtype=torch.float64)
    if divisor is not None or count_padding:
        counts = torch.full_like(counts, divisor or largest)
    m, shift = multipliers(x.codes.scale / (counts * wanted.scale))
    return lowering.add("avg_pool2d", node, [x], wanted, window, {"m": m, "shift": shift})


@LOWERINGS.register("max_pool2d")
def lower_max_pool2d(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a maximum pooling of codes, followed by a change of codes where they differ."""
    x = lowering.operand(node, 0)
    kernel, stride, padding, dilation, ceil = args_of(node)[1:6]
    if ceil or any(d != 1 for d in dilation):
        msg = "has ceil_mode or dilation, which no integer node has"
        raise CannotLowerError(msg)
    window = _window(kernel, stride, padding)
    pooled = lowering.add("max_pool2d", node, [x], x.codes, window)
    if x.codes == wanted:
        return pooled
    m, shift = multiplier(x.codes.scale / wanted.scale)
    return lowering.add("requantize", node, [pooled], wanted, {"m": m, "shift": shift})


def _window(kernel: Any, stride: Any, padding: Any) -> dict[str, Any]:
    return {"kernel": list(kernel), "stride": list(stride or kernel), "padding": list(padding)}
