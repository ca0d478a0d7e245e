"""Weights and biases of products with constant weights."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.lowering import Lowering
from hybridquant.lower.product_constants import Weights
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant


def weights_of(lowering: Lowering, node: fx.Node) -> Weights:
    """Return the weights of a convolution or linear layer.

    Raises:
        CannotLowerError: If its weight's codes are not integers of 8 bits.
    """
    weight = lowering.quantized_weight(node)
    scales = weight.scale.double().flatten().expand(len(weight.codes)).contiguous()
    return Weights(weight.codes, scales, _bias(lowering, node, scales))


def transposed_weights(lowering: Lowering, node: fx.Node) -> Weights:
    """Return the weights of a transposed convolution as those of a convolution that adds the same.

    Raises:
        CannotLowerError: If its weight's codes are not integers of 8 bits.
    """
    weight, groups = lowering.quantized_weight(node), args_of(node)[6]
    # [in, out / groups, ...] -> [out, in / groups, ...]
    codes = weight.codes.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flip(2, 3)
    scales = weight.scale.double().flatten().expand(weight.codes.shape[1]).repeat(groups)
    return Weights(codes.contiguous(), scales, _bias(lowering, node, scales))


def reads_image(lowering: Lowering, node: fx.Node) -> bool:
    """Tell whether a convolution reads the normalised image, all channels at once."""
    argument, groups = args_of(node)[0], args_of(node)[6]
    source = argument if lowering.fake_quant(argument) is None else args_of(argument)[0]
    return bool(source.op == "placeholder") and groups == 1


def image_weights(lowering: Lowering, node: fx.Node) -> Weights:
    """Return the weights of a convolution that reads the image's bytes p instead of x.

    With x = (p / 255 - mean) / std, they are those of x divided by std, in steps as much larger as
    the largest of them may become.

    Raises:
        CannotLowerError: If the weight's codes are not integers of 8 bits.
    """
    if isinstance(lowering.fake_quant(args_of(node)[1]), LevelFakeQuant):
        msg = (
            "reads the image's bytes, with weights divided by std, which leave their levels; use "
            "the quantizer affine for modules: '@first'"
        )
        raise CannotLowerError(msg)
    weight = lowering.quantized_weight(node)
    std = torch.tensor(lowering.std, dtype=torch.float64)[:, None, None]
    steps, lowest, highest = (v.double() for v in (weight.scale, weight.lowest, weight.highest))
    in_range = weight.value.double().clamp(steps * lowest, steps * highest)
    codes = torch.round(in_range / std * (std.min() / steps)).clamp(lowest, highest)
    scales = steps.flatten().expand(len(codes))
    bias = _bias(lowering, node, scales)
    return Weights(codes.to(torch.int8), scales / std.min(), bias)


def _bias(lowering: Lowering, node: fx.Node, scales: Tensor) -> Tensor:
    bias = lowering.parameter(node, 2)
    return torch.zeros_like(scales) if bias is None else bias
