"""Sums, differences and extremes of two tensors, with one rounding."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import ChannelOperand, Operand
from hybridquant.lower.fixed_point import common_multipliers
from hybridquant.lower.int_graph import ChannelCodes, Codes
from hybridquant.lower.lowering import CHANNEL_LOWERINGS, LOWERINGS, Lowering
from hybridquant.lower.sums import holds, offset_of, operand_or_sums, sums_of


@LOWERINGS.register("add")
def lower_add(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a sum; of a tensor and a number it is a table, of exact sums and a number exact."""
    first, second = args_of(node)[:2]
    if isinstance(second, fx.Node):
        return _joined(lowering, node, wanted, "add", (1, 1))
    sums = sums_of(lowering, first)
    if sums is None:
        return LOWERINGS["table"](lowering, node, wanted)
    shifted = sums_of(lowering, node)
    assert shifted is not None
    if not holds(wanted, shifted):
        return lowering.requantized(node, lowering.codes_of(node, shifted), wanted)
    x = lowering.codes_of(first, replace(sums, dtype=wanted.dtype))
    return lowering.add("add_constant", node, [x], wanted, {"offset": offset_of(node, sums)})


@CHANNEL_LOWERINGS.register("add")
def lower_add_by_channel(
    lowering: Lowering, node: fx.Node, wanted: ChannelCodes
) -> ChannelOperand | None:
    """Add the table of a tensor and a number."""
    first, second = args_of(node)[:2]
    if isinstance(second, fx.Node) or sums_of(lowering, first) is not None:
        return None
    return CHANNEL_LOWERINGS["table"](lowering, node, wanted)


@LOWERINGS.register("sub")
def lower_sub(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a difference."""
    return _joined(lowering, node, wanted, "add", (1, -1))


@LOWERINGS.register("maximum")
def lower_maximum(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add the larger of two tensors."""
    return _joined(lowering, node, wanted, "maximum", (1, 1))


@LOWERINGS.register("minimum")
def lower_minimum(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add the smaller of two tensors."""
    return _joined(lowering, node, wanted, "minimum", (1, 1))


def _joined(
    lowering: Lowering, node: fx.Node, wanted: Codes, op: str, signs: tuple[int, int]
) -> Operand:
    inputs = [operand_or_sums(lowering, node, position) for position in (0, 1)]
    factors = [s * x.codes.scale / wanted.scale for s, x in zip(signs, inputs, strict=True)]
    m, shift = common_multipliers(torch.tensor(factors, dtype=torch.float64))
    return lowering.add(op, node, inputs, wanted, {"m": m.tolist(), "shift": shift})
