"""The integers of products with constant weights: weights, biases, multipliers, offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hybridquant.lower.errors import CannotLowerError
from hybridquant.lower.fixed_point import multipliers
from hybridquant.lower.int_graph import AnyCodes, ChannelCodes

_LARGEST_BIAS = 2**30
_INT32 = 2**31
_INT47 = 2**47
# Requantized sums of 47 bits stay below 2^61.
_LARGEST_FACTOR = 2.0**14


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


def product_constants(
    weights: Weights,
    x: AnyCodes,
    wanted: AnyCodes,
    groups: int = 1,
    mean: Sequence[float] | None = None,
    *,
    has_padding: bool = False,
) -> dict[str, Tensor]:
    """Return the constants of a convolution or linear layer.

    A channel's scale of the input is a part of the multipliers of the outputs that read it; what
    its zero-point differs from ``x.zero_point`` is a part of their bias or, where taps may lie
    outside of the image, is taken off for each tap inside. An output's own zero-point is a part of
    its bias.

    Args:
        weights: The weights; of two axes for a linear layer, of four for a convolution.
        x: Codes of the input, whose channels are those of the weights.
        wanted: Codes of the output, whose channels are the weights' outputs.
        groups: Of the convolution.
        mean: Where the input is the image's bytes: of each channel, of pixels in 0 to 1.
        has_padding: Whether taps may lie outside of the image.

    Raises:
        CannotLowerError: If sums run over channels of several scales, or may pass their bits.
    """
    sums = replace(weights, scales=weights.scales * input_scales(x, groups, len(weights.codes)))
    steps: Tensor | float
    if isinstance(wanted, ChannelCodes):
        steps = wanted.steps
        sums = replace(sums, bias=sums.bias + wanted.offsets * steps)
    else:
        steps = wanted.scale
    sums, bias = bias_codes(sums)
    factors = sums.scales / steps
    if isinstance(wanted, ChannelCodes):
        # Of a channel that is as good as constant: each sum but 0 is beyond all codes either way.
        factors = factors.clamp(max=min(2.0 * wanted.count, _LARGEST_FACTOR))
    offsets = None if mean is None else tap_offsets(sums.codes, mean)
    if isinstance(x, ChannelCodes) and bool(x.offsets.any()):
        offsets = _channel_offsets(sums.codes, x, groups)
        if not has_padding:
            bias, offsets = _int32(bias - offsets.reshape(len(bias), -1).sum(1)), None
    check_sums(sums, bias, x, offsets)
    m, shift = multipliers(factors)
    constants = {"weight": sums.codes, "bias": bias, "m": m, "shift": shift}
    return constants if offsets is None else {**constants, "tap_offset": offsets}


def input_scales(x: AnyCodes, groups: int, outputs: int) -> Tensor | float:
    """Return the scale of the codes that each output of a product reads, float64 [outputs].

    Raises:
        CannotLowerError: If an output reads channels of several scales.
    """
    if not isinstance(x, ChannelCodes):
        return x.scale
    scales = x.steps.reshape(groups, -1)
    if bool((scales != scales[:, :1]).any()):
        msg = (
            "adds up over channels of several scales; use granularity: tensor for its input, or "
            "the pass reparameterize, which folds the scales into the weights"
        )
        raise CannotLowerError(msg)
    return scales[:, 0].repeat_interleave(outputs // groups)


def _channel_offsets(codes: Tensor, x: ChannelCodes, groups: int) -> Tensor:
    """Return what each tap adds because zero-points differ, int32 [out_channels, taps...]."""
    offsets = x.offsets.reshape(groups, -1).repeat_interleave(len(codes) // groups, 0)
    sizes = (*offsets.shape, *[1] * (codes.ndim - 2))
    return _int32((codes * offsets.reshape(sizes)).sum(1))


def _int32(values: Tensor) -> Tensor:
    largest = int(values.abs().max())
    if largest >= _INT32:
        msg = f"its sums may reach {largest}, beyond {_INT32}; use fewer bits"
        raise CannotLowerError(msg)
    return values.to(torch.int32)


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


def bias_codes(weights: Weights) -> tuple[Weights, Tensor]:
    """Return the weights, whose scales are those of the sums, and the biases in these, int32.

    Where a bias has more than 2^30 steps, as in channels that hardly depend on their inputs, the
    channel's weights are rounded to a scale with which it has 2^30.
    """
    steps = weights.bias.abs() / weights.scales
    coarser = (steps / _LARGEST_BIAS).clamp(min=1)
    if bool((coarser > 1).any()):
        sizes = [-1] + [1] * (weights.codes.ndim - 1)
        codes = torch.round(weights.codes / coarser.reshape(sizes)).to(torch.int8)
        weights = replace(weights, codes=codes, scales=weights.scales * coarser)
    return weights, torch.round(weights.bias / weights.scales).to(torch.int32)


def check_sums(weights: Weights, bias: Tensor, x: AnyCodes, offsets: Tensor | None = None) -> None:
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
