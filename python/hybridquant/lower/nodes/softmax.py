"""Softmax over the last axis."""

from __future__ import annotations

from torch import fx

from hybridquant.lower.fixed_point import softmax_table
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, CannotLowerError, Lowering, Operand

# The sum of a row of exponentials, at most 2^16 each, fits 32 bits.
_LARGEST_ROW = 2**16
_LARGEST_M = 2**24


@LOWERINGS.register("softmax")
def lower_softmax(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a softmax with its table of exponentials."""
    x = lowering.operand(node, 0)
    axis = node.args[1]
    if axis not in (-1, len(x.shape) - 1):
        msg = f"must be over the last axis, got axis {axis} of {len(x.shape)}"
        raise CannotLowerError(msg)
    m = round(2**8 / wanted.scale)
    if x.shape[-1] >= _LARGEST_ROW or m >= _LARGEST_M:
        msg = (
            f"must have rows below 2^16 and a scale above 2^-16, got rows of {x.shape[-1]} and "
            f"scale {wanted.scale}; use fewer bits"
        )
        raise CannotLowerError(msg)
    table = softmax_table(x.codes.scale, x.codes.count)
    return lowering.add("softmax", node, [x], wanted, {"form": "table", "m": m}, {"table": table})
