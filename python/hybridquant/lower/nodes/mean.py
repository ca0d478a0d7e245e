"""Sums and extremes over axes: means, sums, maxima."""

from __future__ import annotations

import math
from typing import Any

from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import Operand
from hybridquant.lower.fixed_point import check_requantized, multiplier
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering


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
