"""Padding with a constant, or by repeating or reflecting the border."""

from __future__ import annotations

import torch
from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import Operand
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering
from hybridquant.lower.places import selected


@LOWERINGS.register("pad")
def lower_pad(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a padding with the code of its value, behind a change of codes where they differ."""
    x = lowering.recoded(args_of(node)[0], wanted)
    if node.target is not torch.ops.aten.constant_pad_nd.default:
        return selected(lowering, node, x)
    amounts, value = args_of(node)[1], args_of(node)[2]
    code = int(wanted.quantize(torch.tensor(float(value))))
    return lowering.add("pad", node, [x], wanted, {"amounts": list(amounts), "code": code})
