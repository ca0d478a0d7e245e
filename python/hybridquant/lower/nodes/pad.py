"""Padding with a constant."""

from __future__ import annotations

import torch
from torch import fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, CannotLowerError, Lowering, Operand


@LOWERINGS.register("pad")
def lower_pad(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a padding with the code of its value, followed by a change of codes where they differ."""
    if node.target is not torch.ops.aten.constant_pad_nd.default:
        msg = "reflects or repeats the border; only padding with a constant is integer"
        raise CannotLowerError(msg)
    amounts, value = args_of(node)[1], args_of(node)[2]
    part = args_of(node)[0]
    if lowering.format_of(part) is None:
        x = lowering.codes_of(part, wanted)
    else:
        x = LOWERINGS["requantize"](lowering, part, wanted)
    code = int(wanted.quantize(torch.tensor(float(value))))
    return lowering.add("pad", node, [x], wanted, {"amounts": list(amounts), "code": code})
