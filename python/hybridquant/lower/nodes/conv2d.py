"""Convolutions and linear layers: 8-bit weights, 32-bit sums, one rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from hybridquant.capture.graph import args_of, shape_for_one
from hybridquant.lower.builder import C, ChannelOperand, Form
from hybridquant.lower.int_graph import ChannelCodes
from hybridquant.lower.lowering import CHANNEL_LOWERINGS, LOWERINGS, Lowering
from hybridquant.lower.product_constants import Weights
from hybridquant.lower.products import add_product, channel_axis, factors_of, window_of


def lower_conv2d(lowering: Lowering, node: fx.Node, wanted: C) -> Form[C]:
    """Add a convolution with its weights, bias and one multiplier for each output channel.

    One that reads the image reads its bytes: the normalisation is folded into its weights.
    """
    return add_product(lowering, node, wanted, *factors_of(lowering, node))


def lower_conv1d(lowering: Lowering, node: fx.Node, wanted: C) -> Form[C]:
    """Add a convolution of an image that is one row high."""
    x, weights = factors_of(lowering, node)
    images, channels, length = x.shape
    image = lowering.reshaped(node, x, (images, channels, 1, length))
    weights = Weights(weights.codes.unsqueeze(2), weights.scales, weights.bias)
    single = {"stride": 1, "padding": 0, "dilation": 1}
    options = {
        key: value if key == "groups" else [single[key], *value]
        for key, value in window_of(node).items()
    }
    own = shape_for_one(node)
    shape = (*own[:2], 1, own[2])
    result = add_product(lowering, node, wanted, image, weights, options, shape)
    return lowering.reshaped(node, result, own)


def lower_linear(lowering: Lowering, node: fx.Node, wanted: C) -> Form[C]:
    """Add a linear layer with its weights, bias and one multiplier for each output channel."""
    return add_product(lowering, node, wanted, *factors_of(lowering, node))


def lower_batch_norm(lowering: Lowering, node: fx.Node, wanted: C) -> Form[C]:
    """Add a depthwise convolution of single taps, for a norm that could not be folded.

    A channel's only weight has code 127 or -127, so that its factor is exact: it is in the scale.
    """
    x = lowering.operand_by_channel(node, 0, 1)
    gamma, beta, mean, variance = (lowering.parameter(node, i) for i in (1, 2, 3, 4))
    assert mean is not None
    assert variance is not None
    epsilon, channels = args_of(node)[7], len(mean)
    factors = (1.0 if gamma is None else gamma) / (variance + epsilon).sqrt()
    bias = (0.0 if beta is None else beta) - mean * factors
    scales = torch.where(factors == 0, 1.0, factors.abs() / 127)
    codes = (factors.sign() * 127).to(torch.int8).reshape(channels, 1, 1, 1)
    height = x.shape[2] if len(x.shape) > 2 else 1
    image = lowering.reshaped(node, x, (*x.shape[:2], height, math.prod(x.shape[3:])))
    options = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": channels}
    weights = Weights(codes, scales, bias)
    result = add_product(lowering, node, wanted, image, weights, options, image.shape)
    return lowering.reshaped(node, result, shape_for_one(node))


def _by_channel(lowering: Lowering, node: fx.Node, wanted: ChannelCodes) -> ChannelOperand | None:
    """Add one of these operators, whose multiplier and bias are a channel's own."""
    if wanted.axis != channel_axis(node):
        return None
    return _KINDS[node.meta["kind"]](lowering, node, wanted)


_KINDS: dict[str, Callable[[Lowering, fx.Node, Any], Form[Any]]] = {
    "conv2d": lower_conv2d,
    "conv1d": lower_conv1d,
    "linear": lower_linear,
    "batch_norm": lower_batch_norm,
}
for _kind, _function in _KINDS.items():
    LOWERINGS.register(_kind)(_function)
    CHANNEL_LOWERINGS.register(_kind)(_by_channel)
