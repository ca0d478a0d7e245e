"""Weights and biases of products with constant weights, in integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.int_graph import Codes
from hybridquant.lower.lowering import Lowering

_LARGEST_BIAS = 2**30
_INT32 = 2**31
_INT47 = 2**47


@dataclass(frozen=True)
class Weights:
    """Weights of a convolution or linear layer.

    Args:
        codes: int8 [out_channels, ...].
        scales: Of each output channel, float64.
        bias: Of each output channel, float64.
    """

    codes: Tensor
    scales: Tensor
    bias: Tensor


def weights_of(lowering: Lowering, node: fx.Node) -> Weights:
    """Return the weights of a convolution or linear layer.

    Raises:
        CannotLowerError: If its weight is not quantized symmetrically to at most 8 bits.
    """
    codes, scales = lowering.weight(node)
    bias = lowering.parameter(node, 2)
    return Weights(codes, scales, torch.zeros_like(scales) if bias is None else bias)


def transposed_weights(lowering: Lowering, node: fx.Node) -> Weights:
    """Return the weights of a transposed convolution as those of a convolution that adds the same.

    Raises:
        CannotLowerError: If its weight is not quantized symmetrically to at most 8 bits.
    """
    weight, module = lowering.quantized_weight(node)
    groups, scale = args_of(node)[6], module.scale.detach().float()
    codes = torch.round(weight * (1 / scale).reshape(1, -1, 1, 1)).clamp(module.qmin, module.qmax)
    # [in, out / groups, ...] -> [out, in / groups, ...]
    codes = codes.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flip(2, 3)
    scales = scale.double().expand(weight.shape[1]).repeat(groups)
    bias = lowering.parameter(node, 2)
    bias = torch.zeros_like(scales) if bias is None else bias
    return Weights(codes.to(torch.int8).contiguous(), scales, bias)


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
        CannotLowerError: If the weight is not quantized symmetrically to at most 8 bits.
    """
    weight, module = lowering.quantized_weight(node)
    std = torch.tensor(lowering.std, dtype=torch.float64)[:, None, None]
    scales = module.scale.detach().double().expand(len(weight))
    steps = scales.reshape(-1, 1, 1, 1)
    in_range = weight.double().clamp(steps * module.qmin, steps * module.qmax)
    codes = torch.round(in_range / std * (std.min() / steps)).clamp(module.qmin, module.qmax)
    bias = lowering.parameter(node, 2)
    bias = torch.zeros_like(scales) if bias is None else bias
    return Weights(codes.to(torch.int8), scales / std.min(), bias)


def tap_offsets(codes: Tensor, mean: Sequence[float]) -> Tensor:
    """Return what is in the sum of the image's bytes for each tap because their mean is not 0.

    It is taken off for taps inside the image, so that the zeros around x stay zeros.

    Args:
        codes: Weights. # int8 [out_channels, channels, kernel_height, kernel_width]
        mean: Of each channel, of pixels in 0 to 1.

    Shape:
        int32 [out_channels, kernel_height, kernel_width]
    """
    means = torch.tensor(mean, dtype=torch.float64)[:, None, None]
    return torch.round((codes * (255 * means)).sum(1)).to(torch.int32)


def bias_codes(weights: Weights, x: Codes) -> tuple[Weights, Tensor]:
    """Return the weights, and the biases in steps of their products with ``x``, int32.

    Where a bias has more than 2^30 steps, as in channels that hardly depend on their inputs, the
    channel's weights are rounded to a scale with which it has 2^30.
    """
    steps = weights.bias.abs() / (weights.scales * x.scale)
    coarser = (steps / _LARGEST_BIAS).clamp(min=1)
    if bool((coarser > 1).any()):
        sizes = [-1] + [1] * (weights.codes.ndim - 1)
        codes = torch.round(weights.codes / coarser.reshape(sizes)).to(torch.int8)
        weights = replace(weights, codes=codes, scales=weights.scales * coarser)
    return weights, torch.round(weights.bias / (weights.scales * x.scale)).to(torch.int32)


def check_sums(weights: Weights, bias: Tensor, x: Codes, offsets: Tensor | None = None) -> None:
    """Check that sums stay within 32 bits; with 16-bit codes of ``x``, within 47.

    Args:
        weights: The weights.
        bias: Codes of the bias.
        x: Codes of what is multiplied.
        offsets: Further numbers that are added to a channel's sum, [out_channels, ...].

    Raises:
        CannotLowerError: If they may not.
    """
    largest = weights.codes.long().abs().flatten(1).sum(1) * x.magnitude + bias.long().abs()
    if offsets is not None:
        largest = largest + offsets.long().abs().flatten(1).sum(1)
    limit = _INT32 if x.dtype in ("uint8", "int8") else _INT47
    if int(largest.max()) >= limit:
        msg = f"its sums may reach {int(largest.max())}, beyond {limit}; use fewer bits"
        raise CannotLowerError(msg)
