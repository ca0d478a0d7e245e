"""Softmax over the last axis."""

from __future__ import annotations

from torch import fx

from hybridquant.lower.fixed_point import softmax_table
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, CannotLowerError, Lowering, Operand


@LOWERINGS.register("softmax")
def lower_softmax(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a softmax with its table of exponentials."""
    x = lowering.operand(node, 0)
    axis = node.args[1]
    if axis not in (-1, len(x.shape) - 1):
        msg = f"must be over the last axis, got axis {axis} of {len(x.shape)}"
        raise CannotLowerError(msg)
    table = softmax_table(x.codes.scale, x.codes.count)
    m = round(2**8 / wanted.scale)
    return lowering.add("softmax", node, [x], wanted, {"form": "table", "m": m}, {"table": table})
