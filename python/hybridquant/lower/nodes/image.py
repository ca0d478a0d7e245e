"""The bytes of the image, where another operator than a convolution reads them."""

from __future__ import annotations

import torch
from torch import fx

from hybridquant.lower.builder import C, ChannelOperand, Form, Operand
from hybridquant.lower.int_graph import ChannelCodes, Codes
from hybridquant.lower.lowering import CHANNEL_LOWERINGS, LOWERINGS, Lowering
from hybridquant.lower.tables import add_table


@LOWERINGS.register("input")
def lower_input(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a table for each channel: the code of every byte, after division by 255 and mean/std."""
    return _image(lowering, node, wanted)


@CHANNEL_LOWERINGS.register("input")
def lower_input_by_channel(
    lowering: Lowering, node: fx.Node, wanted: ChannelCodes
) -> ChannelOperand | None:
    """Add the same with a scale for each channel."""
    return _image(lowering, node, wanted) if wanted.axis == 1 else None


def _image(lowering: Lowering, node: fx.Node, wanted: C) -> Form[C]:
    mean, std = (
        torch.tensor(v, dtype=torch.float64)[:, None] for v in (lowering.mean, lowering.std)
    )
    values = (torch.arange(256, dtype=torch.float64) / 255 - mean) / std
    return add_table(lowering, node, lowering.image, wanted, values)
