"""Sums and extremes over positions: means, sums, maxima, pooling."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.fixed_point import check_requantized, multiplier, multipliers
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering, Operand


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
    axes = _axes(node, x)
    count = math.prod(x.shape[axis] for axis in axes["axes"])
    m, shift = multiplier(x.codes.scale / ((count if is_mean else 1) * wanted.scale))
    check_requantized(count * x.codes.magnitude, m, shift)
    return lowering.add("mean", node, [x], wanted, {**axes, "m": m, "shift": shift})


@LOWERINGS.register("amax")
def lower_amax(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a maximum over axes."""
    return _extreme(lowering, node, wanted, "amax")


@LOWERINGS.register("amin")
def lower_amin(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a minimum over axes."""
    return _extreme(lowering, node, wanted, "amin")


def _extreme(lowering: Lowering, node: fx.Node, wanted: Codes, op: str) -> Operand:
    x = lowering.operand(node, 0)
    m, shift = multiplier(x.codes.scale / wanted.scale)
    attributes = {**_axes(node, x), "m": m, "shift": shift}
    return lowering.add(op, node, [x], wanted, attributes)


def _axes(node: fx.Node, x: Operand) -> dict[str, Any]:
    axes, keepdim = args_of(node)[1:3]
    every = axes or range(len(x.shape))
    return {"axes": sorted(axis % len(x.shape) for axis in every), "keepdim": bool(keepdim)}


@LOWERINGS.register("avg_pool2d")
def lower_avg_pool2d(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add an average pooling with a multiplier for each number of positions under the window."""
    x = lowering.operand(node, 0)
    kernel, stride, padding, ceil, count_padding, divisor = args_of(node)[1:7]
    window = _window(x, kernel, stride, padding, is_ceil=ceil)
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
    if any(d != 1 for d in dilation):
        msg = "has dilation, which no integer node has; use 1"
        raise CannotLowerError(msg)
    window = _window(x, kernel, stride, padding, is_ceil=ceil)
    pooled = lowering.add("max_pool2d", node, [x], x.codes, window)
    return lowering.requantized(node, pooled, wanted)


def _window(x: Operand, kernel: Any, stride: Any, padding: Any, *, is_ceil: bool) -> dict[str, Any]:
    window = {"kernel": list(kernel), "stride": list(stride or kernel), "padding": list(padding)}
    for axis in (0, 1):
        room = x.shape[axis - 2] + 2 * padding[axis] - kernel[axis]
        if is_ceil and room % window["stride"][axis]:
            msg = (
                f"has ceil_mode and windows beyond the image of {x.shape[axis - 2]}, which no "
                "integer node has; use sizes that divide"
            )
            raise CannotLowerError(msg)
    return window
