"""Levels: codes of 16 bits to those of the level between whose thresholds they lie."""

from __future__ import annotations

from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import Operand
from hybridquant.lower.int_graph import DTYPES, Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering


@LOWERINGS.register("levels")
def lower_levels(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add the levels of a fake-quant node whose quantizer has them."""
    made = lowering.levels_of(node)
    assert made is not None
    x = lowering.codes_of(args_of(node)[0], made.inputs)
    constants = {"thresholds": made.thresholds, "levels": made.levels.to(DTYPES[wanted.dtype])}
    return lowering.add("levels", node, [x], wanted, constants=constants)
