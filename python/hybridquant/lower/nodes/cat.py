"""Concatenation: each input is brought to the output's codes in one rounding."""

from __future__ import annotations

from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.fixed_point import multiplier
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering, Operand


@LOWERINGS.register("cat")
def lower_cat(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a concatenation; what has no fake-quant module is computed in the output's codes."""
    parts, axis = args_of(node)[0], args_of(node)[1]
    inputs = []
    for position, part in enumerate(parts):
        if lowering.format_of(part) is None:
            inputs.append(lowering.codes_of(part, wanted))
        else:
            inputs.append(requantized(lowering, part, f"input {position}", wanted))
    return lowering.add("cat", node, inputs, wanted, {"axis": axis % len(inputs[0].shape)})


@LOWERINGS.register("requantize")
def lower_requantize(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a change of codes, where one quantizer reads what another made."""
    return requantized(lowering, node, "input", wanted)


def requantized(lowering: Lowering, argument: fx.Node, what: str, wanted: Codes) -> Operand:
    """Return the value of a fake-quant node in other codes."""
    x = lowering.quantized(argument, what)
    if x.codes == wanted:
        return x
    m, shift = multiplier(x.codes.scale / wanted.scale)
    attributes = {"m": m, "shift": shift}
    return lowering.add("requantize", argument, [x], wanted, attributes, shape=x.shape)
