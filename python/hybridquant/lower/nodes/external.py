"""Operators that stay in float."""

from __future__ import annotations

from dataclasses import replace

from torch import fx

from hybridquant.lower.builder import Operand
from hybridquant.lower.float_operators import FloatFunction, region_of
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering
from hybridquant.lower.sums import sums_of


@LOWERINGS.register("external")
def lower_external(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Read codes, also exact sums, call a function of the result, which computes in float.

    What nothing quantizes between two operators that stay in float stays in float.
    """
    region = region_of(node, lowering.float_names)
    inputs = [_source(lowering, x, position) for position, x in enumerate(region.sources)]
    output = lowering.add("external", node, inputs, wanted)
    nodes = lowering.result.nodes
    nodes[-1] = replace(nodes[-1], attributes={"function": output.name})
    codes = [operand.codes for operand in inputs]
    function = FloatFunction(lowering.graph, region, codes, wanted)
    lowering.result.functions[output.name] = function
    return output


def _source(lowering: Lowering, argument: fx.Node, position: int) -> Operand:
    """Return the codes of what a region reads."""
    sums = None if argument.op == "call_module" else sums_of(lowering, argument)
    if sums is None:
        return lowering.quantized(argument, f"source {position}")
    return lowering.codes_of(argument, sums)
