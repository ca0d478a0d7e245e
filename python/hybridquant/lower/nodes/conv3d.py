"""Convolutions of volumes: convolutions of images whose channels are those under the window."""

from __future__ import annotations

import torch
from torch import fx

from hybridquant.capture.graph import args_of, shape_for_one
from hybridquant.lower.builder import Operand
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import LOWERINGS, Lowering
from hybridquant.lower.product_constants import Weights
from hybridquant.lower.products import add_product, check_scales, window_of
from hybridquant.lower.weights import weights_of


@LOWERINGS.register("conv3d")
def lower_conv3d(lowering: Lowering, node: fx.Node, wanted: Codes) -> Operand:
    """Add a convolution of one image for each place of the window in depth.

    Cost: a copy of the input for each entry of the window in depth, none where that has one.
    """
    check_scales(lowering, node)
    x, weights = lowering.operand(node, 0), weights_of(lowering, node)
    volumes, channels, depth, height, width = shape_for_one(node)
    x = _under_window(lowering, node, x, weights.codes.shape[2], depth)
    flat = Weights(weights.codes.flatten(1, 2), weights.scales, weights.bias)
    window = {k: v if k == "groups" else v[1:] for k, v in window_of(node).items()}
    shape = (volumes * depth, channels, height, width)
    images = add_product(lowering, node, wanted, x, flat, window, shape)
    result = lowering.reshaped(node, images, (volumes, depth, channels, height, width))
    axes = {"axes": [0, 2, 1, 3, 4]}
    return lowering.add("permute", node, [result], wanted, axes)


def _under_window(
    lowering: Lowering, node: fx.Node, x: Operand, kernel: int, depth: int
) -> Operand:
    """Return [volumes * depth, channels * kernel, height, width], what lies under each window."""
    stride, padding, dilation = (args_of(node)[i][0] for i in (3, 4, 5))
    volumes, channels, size, height, width = x.shape
    if padding:
        amounts = [0, 0, 0, 0, padding, padding]
        attributes = {"amounts": amounts, "code": x.codes.zero_point}
        shape: tuple[int, ...] = (volumes, channels, size + 2 * padding, height, width)
        x = lowering.add("pad", node, [x], x.codes, attributes, shape=shape)
    places = torch.arange(depth)[:, None] * stride + torch.arange(kernel) * dilation
    places = places.flatten().to(torch.int32)
    if places.tolist() != list(range(x.shape[2])):
        shape = (volumes, channels, len(places), height, width)
        constants = {"index": places}
        x = lowering.add("index_select", node, [x], x.codes, {"axis": 2}, constants, shape)
    x = lowering.reshaped(node, x, (volumes, channels, depth, kernel, height, width))
    shape = (volumes, depth, channels, kernel, height, width)
    x = lowering.add("permute", node, [x], x.codes, {"axes": [0, 2, 1, 3, 4, 5]}, shape=shape)
    return lowering.reshaped(node, x, (volumes * depth, channels * kernel, height, width))
