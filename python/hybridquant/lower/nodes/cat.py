"""Concatenation: each input is brought to the output's codes in one rounding."""

from __future__ import annotations

from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import Operand
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering


@LOWERINGS.register("cat")
def lower_cat(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a concatenation; what has no fake-quant module is computed in the output's codes."""
    parts, axis = args_of(node)[0], args_of(node)[1]
    inputs = [lowering.recoded(part, wanted) for part in parts]
    return lowering.add("cat", node, inputs, wanted, {"axis": axis % len(inputs[0].shape)})
