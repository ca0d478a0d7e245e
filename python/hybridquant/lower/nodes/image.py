"""The bytes of the image, where another operator than a convolution reads them."""

from __future__ import annotations

import torch
from torch import fx

from hybridquant.lower.int_graph import DTYPES, Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering, Operand


@LOWERINGS.register("input")
def lower_input(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a table for each channel: the code of every byte, after division by 255 and mean/std."""
    mean, std = (
        torch.tensor(v, dtype=torch.float64)[:, None] for v in (lowering.mean, lowering.std)
    )
    values = (torch.arange(256, dtype=torch.float64) / 255 - mean) / std
    table = wanted.quantize(values).to(DTYPES[wanted.dtype])
    constants = {"table": table}
    return lowering.add("channel_table", node, [lowering.image], wanted, constants=constants)
