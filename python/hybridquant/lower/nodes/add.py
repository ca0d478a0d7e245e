"""Sums and differences of two tensors, with one rounding."""

from __future__ import annotations

import torch
from torch import fx

from hybridquant.lower.fixed_point import common_multipliers
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering, Operand


@LOWERINGS.register("add")
def lower_add(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a sum; of a tensor and a number it is a table."""
    return _weighted_sum(lowering, node, wanted, (1, 1))


@LOWERINGS.register("sub")
def lower_sub(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a difference."""
    return _weighted_sum(lowering, node, wanted, (1, -1))


def _weighted_sum(
    lowering: Lowering, node: fx.Node, wanted: Codes, signs: tuple[int, int]
) -> Operand:
    if not isinstance(node.args[1], fx.Node):
        if wanted.dtype == "int64":
            x = lowering.operand_or_sums(node, 0)
            offset = round(float(node.args[1]) / wanted.scale)  # type: ignore[arg-type]
            return lowering.add("add_constant", node, [x], wanted, {"offset": offset})
        return LOWERINGS["table"](lowering, node, wanted)
    inputs = [lowering.operand(node, position) for position in (0, 1)]
    factors = [s * x.codes.scale / wanted.scale for s, x in zip(signs, inputs, strict=True)]
    m, shift = common_multipliers(torch.tensor(factors, dtype=torch.float64))
    return lowering.add("add", node, inputs, wanted, {"m": m.tolist(), "shift": shift})
